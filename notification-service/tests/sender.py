"""A client that sends notifications and delivers them when the test asks for it."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.models import EventDelivery, Notification
from app.services import NAME, Services
from common.pyportal_common.testing.kit import API, json_of, run_due_jobs

NOTIFICATIONS = f"{API}/notifications"
WEBHOOKS = f"{API}/webhooks"
SERVICE = {"X-Service-Token": "a-token-of-user-management"}

Shown = dict[str, Any]


class Sender:
    """Another service, unless `headers` are a user's; and the worker."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.services: Services = app.extensions[NAME]
        self.client = app.test_client(use_cookies=False)
        self.data_dir = Path("data").absolute()  # the default of DATA_DIR
        self.seconds = 0.0  # that the last attempts took

    def post(self, body: Shown, headers: dict[str, str]) -> TestResponse:
        """Send a notification, which may be refused."""
        return self.client.post(NOTIFICATIONS, json=body, headers=headers)

    def accept(self, body: Shown, headers: dict[str, str] = SERVICE) -> Shown:
        """Send a notification without delivering it."""
        response = self.post(body, headers)
        assert response.status_code == 202, response.text
        shown: Shown = json_of(response)["notification"]
        assert response.headers["Location"] == f"{NOTIFICATIONS}/{shown['notificationId']}"
        return shown

    def send(self, body: Shown, headers: dict[str, str] = SERVICE) -> Shown:
        """Send a notification, and attempt to deliver it."""
        shown = self.accept(body, headers)
        self.deliver()
        return shown

    def deliver(self) -> None:
        """Attempt to deliver every notification that is due, in this thread."""
        started = time.monotonic()
        services = self.services
        run_due_jobs(services.jobs, services.deliveries.deliver)
        self.seconds = time.monotonic() - started

    def deliver_events(self) -> None:
        """Attempt to deliver every event, also one that waits for another attempt."""
        services = self.services
        with services.database.begin() as tx:
            for row in tx.scalars(select(EventDelivery).where(EventDelivery.due_at.isnot(None))):
                row.due_at = datetime.now(UTC)
        self.run_events()

    def run_events(self) -> None:
        """Attempt to deliver every event that is due, in this thread."""
        services = self.services
        run_due_jobs(services.event_jobs, services.event_sender.deliver)

    def deliver_later(self) -> None:
        """Make every queued notification due, and attempt to deliver it."""
        with self.services.database.begin() as tx:
            for row in tx.scalars(select(Notification).where(Notification.due_at.isnot(None))):
                row.due_at = datetime.now(UTC)
        self.deliver()

    def retry(self, shown: Shown) -> TestResponse:
        """Retry a notification, and attempt to deliver it."""
        path = f"{NOTIFICATIONS}/{shown['notificationId']}/retry"
        response = self.client.post(path, headers=SERVICE)
        self.deliver()
        return response

    def register(self, url: str, headers: dict[str, str]) -> Shown:
        """Register a webhook."""
        response = self.client.post(WEBHOOKS, json={"url": url}, headers=headers)
        assert response.status_code == 201, response.text
        webhook: Shown = json_of(response)["webhook"]
        return webhook

    def status_of(self, shown: Shown) -> tuple[str, int, str | None]:
        """The status, the number of attempts, and the error."""
        found = self._get(f"{NOTIFICATIONS}/{shown['notificationId']}")["notification"]
        return found["status"], found["attempts"], found["error"]

    def check_status(self, shown: Shown, status: str, attempts: int, error: str) -> None:
        """Check the status, the number of attempts, and that the error matches a pattern."""
        found_status, found_attempts, found_error = self.status_of(shown)
        assert (found_status, found_attempts) == (status, attempts)
        assert re.match(error, str(found_error))

    def attempts_of(self, shown: Shown) -> list[Shown]:
        """All delivery attempts."""
        items: list[Shown] = self._get(f"{NOTIFICATIONS}/{shown['notificationId']}/attempts")[
            "items"
        ]
        return items

    def due_at(self, shown: Shown) -> datetime:
        """When the notification is due."""
        with self.services.database.read() as tx:
            due_at = tx.get_one(Notification, shown["notificationId"]).due_at
        assert due_at is not None
        return due_at

    def _get(self, path: str) -> Shown:
        found: Shown = json_of(self.client.get(path, headers=SERVICE))
        return found
