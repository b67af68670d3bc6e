"""What `doctor` checks of the service itself: versions, SQL, jobs, invalidations, disk."""

import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy
from sqlalchemy import text as sql
from sqlalchemy.exc import OperationalError

from .. import __version__
from ..db import Database
from ..db.engines import open_engine
from ..findings import Finding
from ..jobs.reports import JobsReport
from ..jobs.services import BaseServices
from ..jobs.settings import WorkerSettings
from .event_counts import served_counts

MAX_SKEW_SECONDS = 2.0

_OLDEST_POSTGRESQL = (14,)
_OLDEST_SQLITE = (3, 35)  # RETURNING
_MIN_FREE = 0.05  # as the alert has it

_MAX_NAMES = 5  # workers in a line
_WRITE_SECONDS = 1.0  # each for the writers of this process and of the others


def check_versions() -> Iterator[Finding]:
    """The releases of this process."""
    ours = f"pyportal {__version__}, Python {platform.python_version()}"
    yield Finding("versions", "ok", f"{ours}, SQLAlchemy {sqlalchemy.__version__}")


def sql_version(name: str, version: tuple[int, ...]) -> Iterator[Finding]:
    """Whether the release of a SQL server is supported."""
    oldest = _OLDEST_POSTGRESQL if name == "postgresql" else _OLDEST_SQLITE
    if version < oldest:
        text = f"is {name} {_dotted(version)}, but {_dotted(oldest)} is the oldest supported"
        yield Finding("sql", "wrong", text, "upgrade it")


def sql_clock(now: datetime) -> Iterator[Finding]:
    """Whether the clock of the SQL server is ours."""
    skew = abs((datetime.now(UTC) - now).total_seconds())
    if skew > MAX_SKEW_SECONDS:
        yield Finding("sql", "wrong", f"its clock is {skew:.0f} s off ours", "synchronize clocks")


def postgresql_writes(*, is_read_only: bool) -> Iterator[Finding]:
    """Whether transactions can write."""
    if is_read_only:
        text = "cannot be written: the server is a standby, or has default_transaction_read_only"
        yield Finding("sql", "wrong", text, "set DATABASE_URL to the primary server")


def sqlite_writes(database: Database) -> Iterator[Finding]:
    """Whether a transaction that writes can begin within two seconds. It is rolled back."""
    url = database.engine.url.render_as_string(hide_password=False)
    engine = open_engine(url, pool_size=1, write_timeout=_WRITE_SECONDS)
    try:
        with engine.connect() as connection:
            connection.begin()
    except OperationalError as error:
        text = f"cannot be written: {error.orig}"
        remedy = "end the process that keeps a transaction open; see the file's permissions"
        yield Finding("sql", "wrong", text, remedy)
    finally:
        engine.dispose()


def check_sql(database: Database) -> Iterator[Finding]:
    """Whether SQL answers and can be written, and the version and the clock of a server."""
    dialect = database.engine.dialect
    began = time.monotonic()
    with database.read() as tx:
        tx.execute(sql("SELECT 1"))
        took = (time.monotonic() - began) * 1000
        now = read_only = None
        if dialect.name == "postgresql":
            now = tx.scalar(sql("SELECT now()"))
            read_only = tx.scalar(sql("SHOW transaction_read_only"))
    version = tuple(int(number) for number in dialect.server_version_info or ())
    yield Finding("sql", "ok", f"{dialect.name} {_dotted(version)} answers", milliseconds=took)
    yield from sql_version(dialect.name, version)
    if now is None:
        yield from sqlite_writes(database)
    else:
        yield from sql_clock(now)
        yield from postgresql_writes(is_read_only=read_only == "on")


def check_migrations(database: Database, migrations: Path) -> Iterator[Finding]:
    """Whether the schema is that of this release."""
    from ..db.migrations import revisions

    current, newest = revisions(database, migrations)
    if current == newest:
        yield Finding("migrations", "ok", f"the schema is at {current}")
    else:
        text = f"the schema is at {current or 'nothing'}, but this release needs {newest}"
        yield Finding("migrations", "wrong", text, "run `flask --app wsgi db upgrade`")


def check_jobs(services: BaseServices) -> Iterator[Finding]:
    """What /health says about workers, jobs and messages."""
    report = services.monitor.report()  # raises what `states` hides
    explained = _explained(report, services.worker_settings)
    for check, state in services.monitor.states().items():
        if state == "ok":
            yield Finding(check, "ok", "")
        else:
            yield Finding(check, "wrong", *explained[check, state])


def _explained(
    report: JobsReport, settings: WorkerSettings
) -> Mapping[tuple[str, str], tuple[str, str]]:
    """By check and state: what is wrong, and what to do."""
    silent = f"{settings.worker_silent_seconds:g} s"
    kinds = report.oldest_due_seconds
    latest = max(kinds, key=lambda kind: kinds[kind], default="")
    paused = sorted(report.paused)
    refused = ", ".join(f"{n} to {name}" for name, n in report.failed_messages.items())
    return {
        ("workers", "none"): (f"no worker has reported for {silent}", "start a worker"),
        ("workers", "silent"): (
            f"a worker has not reported for {silent} or more: "
            + ", ".join(report.silent[:_MAX_NAMES]),
            "restart it if it hangs; one that has died is forgotten after five minutes",
        ),
        ("jobs", "late"): (
            f"a job of {latest} has been due for {kinds.get(latest, 0):.0f} s",
            "start more workers: see `jobs stats`",
        ),
        ("jobs", "paused"): (
            f"paused: {', '.join(paused)}",
            f"`jobs resume {(paused or [''])[0]}` when the reason is gone: see `jobs stats`",
        ),
        ("messages", "refused"): (
            f"other services have refused messages: {refused}",
            "see `outbox list`; `outbox resend` or `outbox discard` them",
        ),
    }


def check_consistency(service: str) -> Iterator[Finding]:
    """Whether the consistency monitor of a process that serves requests knows stale values.

    Raises OperationRefused if /metrics of the service does not answer.
    """
    counts = served_counts(service).caches
    stale = [name for name, each in counts.items() if each.stale_seconds]
    if stale:
        text = f"Redis holds stale values of {', '.join(sorted(stale))}"
        remedy = "`cache verify` lists their keys: `cache invalidate` each"
        yield Finding("consistency", "wrong", text, remedy)
    else:
        yield Finding("consistency", "ok", "")


def check_invalidations(database: Database) -> Iterator[Finding]:
    """Whether Redis removes what commits have changed."""
    if database.invalidations is None:
        return
    failing = database.invalidations.records.failing(limit=1000)
    if failing:
        text = f"Redis refuses {len(failing)} of them: {failing[0].reason}"
        yield Finding("invalidations", "wrong", text, "see `db failing-invalidations`")
    else:
        yield Finding("invalidations", "ok", "")


def check_disk(folder: Path) -> Iterator[Finding]:
    """The free space at DATA_DIR, which a service with PostgreSQL need not have created."""
    existing = next(each for each in (folder, *folder.parents) if each.is_dir())
    usage = shutil.disk_usage(existing)
    text = f"{usage.free / 2**30:.1f} GiB ({usage.free / usage.total:.0%}) are free at DATA_DIR"
    if usage.free < _MIN_FREE * usage.total:
        yield Finding("disk", "wrong", text, "delete files, or enlarge the disk")
    else:
        yield Finding("disk", "ok", text)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
