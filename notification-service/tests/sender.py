"""Notifications sent by a test, and what becomes of them."""

import time
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.models import Notification

from .conftest import NOTIFICATIONS, SERVICE, mine_of, work_off

Made = dict[str, Any]


class Deliveries:
    """The service, as another service uses it. Time passes when the test says so."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.mine = mine_of(app)
        self.seconds = 0.0  # that the last attempts took
        self._client = app.test_client(use_cookies=False)

    def accept(self, body: dict[str, Any], headers: dict[str, str] = SERVICE) -> Made:
        """Have a notification taken on, and not yet delivered."""
        answer = self._client.post(NOTIFICATIONS, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        assert answer.json is not None
        made: Made = answer.json["notification"]
        return made

    def send(self, body: dict[str, Any], headers: dict[str, str] = SERVICE) -> Made:
        """The same, and make an attempt at it."""
        made = self.accept(body, headers)
        self._work_off()
        return made

    def let_time_pass(self) -> None:
        """Until all that waits is due, and make an attempt at it."""
        with self.mine.database.begin() as tx:
            for row in tx.scalars(select(Notification).where(Notification.due_at.isnot(None))):
                row.due_at = datetime.now(UTC)
        self._work_off()

    def retry(self, made: Made) -> TestResponse:
        """Have one begin anew."""
        path = f"{NOTIFICATIONS}/{made['notificationId']}/retry"
        answer = self._client.post(path, headers=SERVICE)
        self._work_off()
        return answer

    def status_of(self, made: Made) -> tuple[str, int, str | None]:
        """Its status, the number of attempts, and the error."""
        found = self._get(f"{NOTIFICATIONS}/{made['notificationId']}")["notification"]
        return found["status"], found["attempts"], found["error"]

    def attempts_at(self, made: Made) -> list[dict[str, Any]]:
        """All attempts at it."""
        found: list[dict[str, Any]] = self._get(
            f"{NOTIFICATIONS}/{made['notificationId']}/attempts"
        )["items"]
        return found

    def due_at(self, made: Made) -> datetime:
        """When it is due."""
        with self.mine.database.read() as tx:
            found = tx.get_one(Notification, made["notificationId"]).due_at
        assert found is not None
        return found

    def _get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] | None = self._client.get(path, headers=SERVICE).json
        assert found is not None
        return found

    def _work_off(self) -> None:
        began = time.monotonic()
        work_off(self.mine)
        self.seconds = time.monotonic() - began
