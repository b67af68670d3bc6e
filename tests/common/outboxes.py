"""An outbox for tests, and a service that receives its messages."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase

from common.pyportal_common.db import Actor, Audit, Database, add_audit_table
from common.pyportal_common.jobs import NO_HINTS, WorkerSettings
from common.pyportal_common.jobs.outbox import (
    NOTIFICATIONS,
    BaseOutbox,
    OutboxMessage,
    OutboxSettings,
    outbox_indexes,
)
from common.pyportal_common.jobs.outbox_delivery import OutboxDelivery
from common.pyportal_common.jobs.outbox_requests import BATCH
from common.pyportal_common.operations import MessageFilter, OutboxOperations
from common.pyportal_common.outbound import CircuitBreakers
from common.pyportal_common.testing.raw_servers import Conversation, RawServer

TOKEN = "the-token-of-this-service"
RESPONSE_BODY = "the-body-of-the-response"


class Base(DeclarativeBase):
    """The tables of these tests."""


add_audit_table(Base.metadata)


class Message(OutboxMessage, Base):
    """A message to the other service."""

    __tablename__ = "events"
    __table_args__ = (*outbox_indexes("events"), {"sqlite_autoincrement": True})


class Receiver:
    """A service that records messages, and responds with the statuses that the test sets."""

    def __init__(self, serve: Callable[..., RawServer]) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []  # one for each message
        self.statuses: list[int] = []  # of the next messages; 0 hangs up; then 202
        self.batches: list[int] = []  # the numbers of messages in each
        self.batch_status = 200
        self.before_response: Callable[[], object] = lambda: None
        self.server = serve(self._talk)

    @property
    def url(self) -> str:
        """Where it receives messages."""
        return self.server.url.rstrip("/")

    @property
    def keys(self) -> list[str]:
        """The idempotency key of each message, in the order in which they arrived."""
        return [headers["Idempotency-Key"] for _, headers, _ in self.requests]

    def _talk(self, client: Conversation) -> None:
        head, _, body = client.hear().decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        path, content = first.split()[1], json.loads(body)
        if path == BATCH:
            items = content["items"]
            self.batches.append(len(items))
            if self.batch_status != 200:
                return self._respond(client, self.batch_status)
            results = [
                self._take(NOTIFICATIONS, {**headers, **_headers_of(each)}, each["notification"])
                for each in items
            ]
            if all(results):
                details = [{"field": "data.name", "message": RESPONSE_BODY}]
                shown = [{"status": each, "details": details[each < 300 :]} for each in results]
                self._respond(client, 200, json.dumps({"items": shown}))
        elif status := self._take(path, headers, content):
            self._respond(client, status)
        return None

    def _take(self, path: str, headers: dict[str, str], content: Any) -> int:
        self.requests.append((path, headers, content))
        return self.statuses.pop(0) if self.statuses else 202

    def _respond(self, client: Conversation, status: int, body: str = RESPONSE_BODY) -> None:
        self.before_response()
        head = f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n\r\n"
        client.say((head + body).encode())


def _headers_of(item: dict[str, Any]) -> dict[str, str]:
    """Those that the same message would have alone."""
    names = {"idempotencyKey": "Idempotency-Key", "traceparent": "traceparent"}
    return {header: item[name] for name, header in names.items() if name in item}


class Outbox(BaseOutbox[Message]):
    """The messages of a service, which can be delivered by `work`."""

    def __init__(
        self,
        url: str,
        receiver_url: str,
        *,
        pause_seconds: float = 0,
        lease_seconds: float = 15,
        **options: Any,
    ) -> None:
        self.database = Database(url)
        settings = OutboxSettings(notification_url=receiver_url, service_token=TOKEN)
        breakers = CircuitBreakers(pause_seconds)
        worker_settings = WorkerSettings(job_lease_seconds=lease_seconds)
        super().__init__(Message, self.database, NO_HINTS, worker_settings, settings, breakers)
        self.delivery = OutboxDelivery(self, "notification", **options)

    def add(self, **body: Any) -> int:
        """Write a message with this body. Returns its id."""
        with self.database.begin() as tx:
            message = self.publish(tx, Message(), body)
        return message.id

    def work(self, message_id: int) -> Message:
        """Do what a worker does with the messages that are due. Returns the row of one."""
        self.delivery.run_pending()
        with self.database.read() as tx:
            return tx.get_one(Message, message_id)

    @property
    def operations(self) -> OutboxOperations:
        """What operators do with the failed messages."""
        return OutboxOperations(self, Audit(self.database))

    def failed(self) -> list[Message]:
        """The failed messages, the oldest first."""
        with self.database.read() as tx:
            failed = select(Message).where(Message.status == "failed").order_by(Message.id)
            return list(tx.scalars(failed))

    def resend_all(self) -> int:
        """Resend the failed messages."""
        return self.operations.to_resend(MessageFilter(), every=True).run(Actor("tests"))

    def ids(self) -> list[int]:
        """The ids of all messages."""
        with self.database.read() as tx:
            return list(tx.scalars(select(Message.id)))
