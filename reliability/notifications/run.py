"""Clients send e-mails and webhooks while Notification and the servers that receive them fail."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from sqlalchemy import Engine

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings, SessionStore
from common.pyportal_common.redis_server import RedisServer, free_port

from ..faults import Faults, Injection
from ..harness import ServiceRun
from ..http_client import HttpClient
from ..rows import read_rows
from ..settings import RunSettings
from .checker import check
from .state import FINAL, WEBHOOKS, Accepted, Event, EventRow, Row, State, read_deliveries

_USER = 7  # who has the webhooks


class NotificationRun(ServiceRun[State]):
    """The run of `requests` notifications, half of them e-mails and half webhooks, and as many
    events, each for all webhooks of a user.
    """

    final = FINAL
    jobs = ("notifications", "webhook_deliveries")
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

    def is_ready(self, redis: RedisServer) -> bool:
        if self._client.call("GET", "/nothing").status != 404:
            return False
        settings = RedisSettings.load(url=redis.url, _env_file=None)
        with closing(RedisClient.connect(settings, db=0)) as connection:
            session_id = SessionStore(connection).create(_USER, {"role": "user"}).session_id
        user = HttpClient(self.port, {"Authorization": f"Bearer {session_id}"}, self.log)
        urls = (self._webhook_url(f"event/{number}") for number in range(WEBHOOKS))
        return all(
            user.call("POST", "/webhooks", {"url": url}).status in (201, 409) for url in urls
        )

    def _webhook_url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._webhook_port}/{path}"

    def client_loop(self, thread: int, turns: Iterator[int]) -> None:
        """Send a notification and publish an event in each turn."""
        rng = self.settings.random_for(f"client {thread}")
        for turn in turns:
            key, channel = f"{self.settings.seed}-{turn}", rng.choice(["email", "webhook"])
            body = {
                "channel": channel,
                "recipient": f"{key}@example.com"
                if channel == "email"
                else self._webhook_url("webhook"),
                "subject": key,
                "message": "Admission 7",
            }
            created = self._client.create("/notifications", body, key)
            if created is not None:
                made = created["notification"]
                accepted = Accepted(key, channel, made["notificationId"], made["messageId"])
                self.log.accepted.append(accepted)
            self._publish(key)

    def _publish(self, key: str) -> None:
        data = {"username": key, "verifiedAt": "2026-01-31T09:30:15Z"}
        body = {"type": "user.verified", "userId": _USER, "data": data}
        published = self._client.create("/events", body, key)
        if published is not None:
            self.log.accepted.append(Accepted(key, "event", 0, published["eventId"]))

    def check(self, accepted: Sequence[Any], state: State) -> list[str]:
        return check(accepted, state)

    def read_state(self, engine: Engine) -> State:
        with engine.connect() as connection:
            state = State(
                read_rows(connection, "notifications", Row),
                read_deliveries(self.settings.folder),
                events=read_rows(connection, "webhook_events", Event),
                event_rows=read_rows(connection, "webhook_deliveries", EventRow),
            )
        for row in state.jobs:
            path = f"/notifications/{row.id}/status"
            state.shown[row.id] = self._client.call("GET", path).body
        return state
