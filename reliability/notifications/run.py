"""Clients send e-mails and webhooks while Notification and the servers that receive them fail."""

import secrets
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Engine

from common.pyportal_common.redis_server import RedisServer, free_port

from ..faults import Faults, Injection
from ..harness import ServiceRun
from ..http_client import HttpClient
from ..rows import read_rows
from ..settings import RunSettings
from .checker import check
from .state import FINAL, Accepted, Row, State, read_deliveries


class NotificationRun(ServiceRun[State]):
    """The run of `requests` notifications, half of them e-mails and half webhooks."""

    final = FINAL
    jobs = "notifications"
    service = "notification-service"
    receivers = ("smtp", "webhooks")

    def __init__(self, settings: RunSettings, requests: int) -> None:
        super().__init__(settings, requests)
        self._token = secrets.token_hex(16)
        self._smtp_port, self._webhook_port = free_port(), free_port()
        self._client = HttpClient(self.port, {"X-Service-Token": self._token}, self.log)

    def variables(self) -> dict[str, str]:
        return {
            "SERVICE_TOKENS": f"reliability:{self._token}",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self._smtp_port),
            "SMTP_SECURITY": "none",
            "WEBHOOK_PORT": str(self._webhook_port),
            "WEBHOOK_SECRET": self._token,
            "WEBHOOK_NETWORKS": "127.0.0.0/8",
            "RATE_LIMIT_NOTIFICATIONS": "100000/60",
            "RATE_LIMIT_DELIVERIES": "100000/60",
            "DELIVERY_ATTEMPTS": "1000",  # a long outage must not make a notification fail
            "DELIVERY_BACKOFF_SECONDS": "0.1",
            "DELIVERY_TIMEOUT_SECONDS": "1",
            "JOB_LEASE_SECONDS": "1",
        }

    def injections(self, faults: Faults) -> list[Injection]:
        """See ServiceRun. The receivers fail as well."""
        found = super().injections(faults)
        for role in self.receivers:
            pause = partial(faults.pause, role, shortest=0.5, longest=2.0)
            found.append(Injection(f"{role}-killed", partial(faults.kill, role)))
            found.append(Injection(f"{role}-hangs", pause))
        return found

    def is_ready(self, redis: RedisServer) -> bool:  # noqa: ARG002  see ServiceRun
        return self._client.call("GET", "/nothing").status == 404

    def client_loop(self, thread: int, turns: Iterator[int]) -> None:
        """Send a notification in each turn."""
        rng = self.settings.random_for(f"client {thread}")
        for turn in turns:
            key, channel = f"{self.settings.seed}-{turn}", rng.choice(["email", "webhook"])
            webhook = f"http://127.0.0.1:{self._webhook_port}/hook"
            body = {
                "channel": channel,
                "recipient": f"{key}@example.com" if channel == "email" else webhook,
                "subject": key,
                "message": "Admission 7",
            }
            created = self._client.create("/notifications", body, key)
            if created is not None:
                made = created["notification"]
                accepted = Accepted(key, channel, made["notificationId"], made["messageId"])
                self.log.accepted.append(accepted)

    def check(self, accepted: Sequence[Any], state: State) -> list[str]:
        return check(accepted, state)

    def read_state(self, engine: Engine) -> State:
        with engine.connect() as connection:
            rows = read_rows(connection, "notifications", Row)
        state = State(rows, read_deliveries(self.settings.folder))
        for row in state.jobs:
            path = f"/notifications/{row.id}/status"
            state.shown[row.id] = self._client.call("GET", path).body
        return state
