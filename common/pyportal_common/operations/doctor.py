"""Checks of what a service depends on. Each is independent of the others."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import text as sql
from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import RedisClient, RedisLayerError
from ..db import Database
from ..jobs.services import BaseServices
from .errors import OperationRefused

_MAX_SKEW_SECONDS = 2.0

_REMEDIES = {
    ("workers", "none"): "start a worker",
    ("workers", "silent"): "restart the worker that hangs: see `redis` and `sql`",
    ("jobs", "late"): "start more workers, or see `jobs list --status failed`",
    ("jobs", "paused"): "`jobs resume` when the reason is gone",
    ("messages", "refused"): "see `outbox list`",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found. `state` is ok, wrong, or unseen if it could not look."""

    check: str
    state: str
    text: str
    remedy: str = ""
    milliseconds: float | None = None


Check = Callable[[], Iterator[Finding]]


class Doctor:
    """Runs checks by name. One that fails says what it could not see."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    @classmethod
    def of(
        cls, services: BaseServices, clients: Mapping[str, RedisClient], migrations: Path
    ) -> "Doctor":
        """The checks of a service."""
        checks: dict[str, Check] = {
            f"redis {name}": partial(_redis, name, client) for name, client in clients.items()
        }
        checks["sql"] = partial(_sql, services.database)
        checks["migrations"] = partial(_migrations, services.database, migrations)
        checks["jobs"] = partial(_jobs, services)
        checks["invalidations"] = partial(_invalidations, services.database)
        return cls(checks)

    def examine(self) -> Sequence[Finding]:
        """The findings of all checks."""
        return [finding for name, check in self._checks.items() for finding in _run(name, check)]


def _run(name: str, check: Check) -> Sequence[Finding]:
    try:
        return list(check())
    except (RedisLayerError, SQLAlchemyError, OperationRefused) as error:
        text = " ".join(str(getattr(error, "orig", None) or error).split())
        return [Finding(name, "unseen", text, "see that it runs and can be reached")]


def _redis(name: str, client: RedisClient) -> Iterator[Finding]:
    check = f"redis {name}"
    began = time.monotonic()
    seconds, microseconds = client.execute("TIME")
    took = (time.monotonic() - began) * 1000
    yield Finding(check, "ok", f"{client.name} answers", milliseconds=took)
    skew = abs(time.time() - int(seconds) - int(microseconds) / 1e6)
    if skew > _MAX_SKEW_SECONDS:
        yield Finding(check, "wrong", f"its clock is {skew:.0f} s off ours", "synchronize clocks")
    inspection = client.inspect()
    for line in [*inspection.refusals(client.name), *inspection.warnings(client.name)]:
        yield Finding(check, "wrong", line, "see docs/operations.md, Starting with Redis")
    info = client.execute("INFO")
    if name == "sessions" and not int(info.get("aof_enabled", 1)):
        yield Finding(check, "wrong", "a restart ends all sessions", "set `appendonly yes`")
    if info.get("aof_last_write_status", "ok") != "ok":
        yield Finding(check, "wrong", "the append-only file cannot be written", "free its disk")


def _sql(database: Database) -> Iterator[Finding]:
    began = time.monotonic()
    with database.read() as tx:
        tx.execute(sql("SELECT 1"))
    took = (time.monotonic() - began) * 1000
    yield Finding("sql", "ok", f"{database.engine.dialect.name} answers", milliseconds=took)
    if database.engine.dialect.name == "postgresql":
        with database.read() as tx:
            now = tx.scalar(sql("SELECT now()"))
        skew = abs((datetime.now(UTC) - now).total_seconds()) if now is not None else 0.0
        if skew > _MAX_SKEW_SECONDS:
            yield Finding("sql", "wrong", f"its clock is {skew:.0f} s off ours", "set the clocks")


def _migrations(database: Database, migrations: Path) -> Iterator[Finding]:
    from ..db.migrations import revisions

    current, newest = revisions(database, migrations)
    if current == newest:
        yield Finding("migrations", "ok", f"the schema is at {current}")
    else:
        text = f"the schema is at {current or 'nothing'}, but this release needs {newest}"
        yield Finding("migrations", "wrong", text, "run `flask --app wsgi db upgrade`")


def _jobs(services: BaseServices) -> Iterator[Finding]:
    services.monitor.report()  # raises what `states` hides
    for check, state in services.monitor.states().items():
        if state == "ok":
            yield Finding(check, "ok", "")
        else:
            yield Finding(check, "wrong", state, _REMEDIES.get((check, state), ""))


def _invalidations(database: Database) -> Iterator[Finding]:
    if database.invalidations is None:
        return
    failing = database.invalidations.records.failing(limit=1000)
    if failing:
        text = f"Redis refuses {len(failing)} of them: {failing[0].reason}"
        yield Finding("invalidations", "wrong", text, "see `db failing-invalidations`")
    else:
        yield Finding("invalidations", "ok", "")
