"""Events: what a service has to tell Notification, written in the transaction that causes it.

A row of a service's own, and a job: its workers post it. It carries a key that stays the same,
so it may be posted twice, and is one notification in the end.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from pydantic import Field, SecretStr
from sqlalchemy import JSON, String, delete
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Transaction
from ..db.database import Database
from ..outbound import CircuitBreakers, CircuitOpen, HttpResponse, RequestFailed, request
from ..settings import Settings
from . import Backoff, JobFailed, JobRow, Jobs, Run, WorkerSettings

logger = logging.getLogger(__name__)

KIND = "events"
SERVICE_TOKEN_HEADER = "X-Service-Token"  # noqa: S105  a name

_TIMEOUT = 10.0  # seconds
_KEPT_FOR = timedelta(days=7)
_FOR_A_MONTH = 50_000  # attempts, a minute apart in the end
# A token that is being changed, a service that is not quite there yet, and what says so itself.
_PASSING = frozenset({401, 403, 404, 408, 409, 425, 429})


class OutboxSettings(Settings):
    """Where services find each other, and how this one says who it is."""

    usermanagement_url: str = Field("http://usermanagement-service:5001", pattern="^https?://")
    taskprocessing_url: str = Field("http://taskprocessing-service:5002", pattern="^https?://")
    notification_url: str = Field("http://notification-service:5003", pattern="^https?://")
    service_token: SecretStr = SecretStr("")


class OutboxMessage(JobRow):
    """Mixed into a service's model of its events, whose table needs `job_indexes`.

    `path` is that of a POST to Notification or another service, `body` what is posted there.
    """

    key: Mapped[str] = mapped_column(String(36), unique=True)
    service: Mapped[str] = mapped_column(String(50))
    path: Mapped[str] = mapped_column(String(200))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:  # noqa: ARG003
        """Nobody reads events but workers."""
        return ()


def outbox_jobs(
    database: Database, model: type[OutboxMessage], settings: WorkerSettings
) -> Jobs[OutboxMessage]:
    """The events of a service as jobs: they are tried for a month."""
    return Jobs(
        database,
        model,
        kind=KIND,
        time_limit=lambda _: 60.0,
        type_of=lambda event: f"event for {event.service}",
        attempts=_FOR_A_MONTH,
        backoff=Backoff(first=1.0, longest=60.0),
        lease_seconds=settings.job_lease_seconds,
        resend_seconds=settings.job_resend_seconds,
    )


def publish(
    tx: Transaction,
    event: OutboxMessage,
    *,
    jobs: Jobs[OutboxMessage],
    body: Mapping[str, Any],
    service: str = "notification",
    path: str = "/api/v1/airliner/notifications",
    leave_to_sweeper: bool = False,
) -> OutboxMessage:
    """Write an event down in this transaction. After the commit it has to be sent to a queue, if it
    is not left to the sweeper.
    """
    event.key = str(uuid4())
    event.service, event.path, event.body = service, path, dict(body)
    event.priority, event.progress, event.attempts = "normal", 0, 0
    jobs.put(tx, event, leave_to_sweeper=leave_to_sweeper)
    return event


def forget_old(database: Database, model: type[OutboxMessage]) -> None:
    """Remove the events that ended a week ago: until then somebody may ask why one failed."""
    with database.begin() as tx:
        tx.execute(
            delete(model).where(model.finished_at < datetime.now(UTC) - _KEPT_FOR),
            execution_options={"cache_keys": ()},
        )


def post(run: Run[OutboxMessage], settings: OutboxSettings, destinations: CircuitBreakers) -> None:
    """What a worker does with an event. Whoever gets it knows by the key if it came before."""
    event = run.job
    try:
        with destinations.calling(event.service, RequestFailed):
            answer = _send(event, settings)
    except CircuitOpen as pause:
        with run.postpone(pause.seconds):
            return
    except RequestFailed as error:
        reason = f"{event.service}: {error}"
    else:
        if answer.status < 300:
            with run.finish() as (_, row):
                row.body = {}  # it is there now: here it would only be one more copy to forget
            return
        reason = f"{event.service} answered {answer.status}"
        if 400 <= answer.status < 500 and answer.status not in _PASSING:
            logger.error("Event %d is refused: %s %r", event.id, reason, answer.body[:500])
            raise JobFailed(reason)
    logger.warning("Event %d waits: %s", event.id, reason)
    with run.retry_later(reason):
        pass


def _send(event: OutboxMessage, settings: OutboxSettings) -> HttpResponse:
    return request(
        "POST",
        getattr(settings, f"{event.service}_url") + event.path,
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": event.key,
            SERVICE_TOKEN_HEADER: settings.service_token.get_secret_value(),
        },
        body=json.dumps(event.body).encode(),
        timeout_seconds=_TIMEOUT,
    )
