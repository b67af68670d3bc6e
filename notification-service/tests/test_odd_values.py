"""Odd values in Redis do not stop Notification: see OddValueChecks."""

from collections.abc import Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.testing.kit import API, json_of, session_headers
from common.pyportal_common.testing.odd_values import EARLIER, OddValueChecks

from .conftest import NOTE, Headers

Json = dict[str, Any]

NOTIFICATIONS = f"{API}/notifications"


class TestOddValues(OddValueChecks):
    @pytest.fixture(autouse=True)
    def _notification(self, client: FlaskClient) -> None:
        response = client.post(NOTIFICATIONS, json=NOTE, headers=session_headers(7))
        self.notification = json_of(response)["notification"]

    def prepare(self) -> Headers:
        return session_headers(7)

    def exercise(self, client: FlaskClient, prepared: Headers) -> Mapping[str, int]:
        statuses: dict[str, int] = {}
        path = f"{NOTIFICATIONS}/{self.notification['notificationId']}"

        def call(
            name: str, url: str, headers: Headers, method: str = "GET", body: Json | None = None
        ) -> Json:
            response = client.open(url, method=method, headers=headers, json=body)
            statuses[name] = response.status_code
            return json_of(response) if response.is_json else {}

        call(f"{EARLIER}list", NOTIFICATIONS, prepared)
        user = session_headers(7)
        for name in ("", " again"):
            shown = call(f"read{name}", path, user).get("notification")
            statuses[f"fields{name}"] = 200 if shown == self.notification else 500
            status = call(f"status{name}", f"{path}/status", user)
            statuses[f"queued{name}"] = 200 if status.get("status") == "queued" else 500
            call(f"list{name}", NOTIFICATIONS, user)
        created = call("send", NOTIFICATIONS, user, "POST", NOTE).get("notification")
        items = call("new list", NOTIFICATIONS, user).get("items", [None])
        statuses["newest"] = 200 if items[0] == created else 500
        return statuses
