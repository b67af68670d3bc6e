"""The clock that times in SQL are compared with: that of the database.

Hosts may disagree about the time. A row is written by one of them and read by another, so both ask
the SQL server, which is the same for all. docs/adr/0052-one-clock-for-each-comparison.md has the
reasons.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import InvalidatePoolError

from .types import Transaction

CLOCK = "pyportal_clock"
"""The execution option of an engine that has the clock of its server."""

_IS_NEW = "pyportal_is_new"  # in the info of a connection


class HostClock:
    """The clock of this machine, which is also that of its SQLite files."""

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)


class ServerClock:
    """The clock of a SQL server, as its answers to this process bound it.

    It goes on with the monotonic clock of this machine, so `now` sends nothing.
    """

    def __init__(self) -> None:
        self._began: datetime | None = None  # the server's time when the monotonic clock was 0
        self.engine: Engine | None = None
        """What connects to the server if `now` is called before any answer."""

    def measure(self, connection: Any) -> None:
        """Ask the server on a connection of the driver, outside transactions. One round trip."""
        connection.autocommit = True
        try:
            asked = monotonic()
            with connection.cursor() as cursor:
                cursor.execute("SELECT clock_timestamp()")
                (time,) = cursor.fetchone()
            self.note(time.astimezone(UTC), asked, monotonic())
        finally:
            if not connection.closed:
                connection.autocommit = False

    def note(self, time: datetime, asked: float, answered: float) -> None:
        """The server had this time at some moment between the two. What agrees changes nothing."""
        earliest, latest = time - timedelta(seconds=answered), time - timedelta(seconds=asked)
        known = self._began or earliest + (latest - earliest) / 2
        self._began = min(max(known, earliest), latest)

    def now(self) -> datetime:
        """The time, in UTC. Raises SQLAlchemyError if the server has never answered."""
        if self._began is None and self.engine is not None:
            self.engine.connect().close()
        assert self._began is not None  # noqa: S101
        return self._began + timedelta(seconds=monotonic())


def with_server_clock(engine: Engine) -> Engine:
    """The same engine, with the clock of its server: one of a driver without bounds in time."""
    clock = ServerClock()
    clock.engine = engine
    check_at_checkout(engine, clock.measure)
    return engine.execution_options(**{CLOCK: clock})


def check_at_checkout(engine: Engine, check: Callable[[Any], None]) -> None:
    """Call `check` with each new connection, and with each that is taken from the pool.

    It raises the driver's errors for one that is broken, which is replaced. So it stands in for
    `pool_pre_ping`, whose round trip brings nothing.
    """

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        check(connection)
        record.info[_IS_NEW] = True

    @event.listens_for(engine, "checkout")
    def taken(connection: Any, record: Any, _: Any) -> None:
        if record.info.pop(_IS_NEW, False):
            return
        try:
            check(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


Clock = HostClock | ServerClock

_HOST = HostClock()


def clock_of(bind: Engine | Connection, otherwise: Clock = _HOST) -> Clock:
    """The clock of a database. That of an app's own engine is not known: then `otherwise`."""
    clock: Clock = bind.get_execution_options().get(CLOCK, otherwise)
    return clock


def current_time(tx: Transaction) -> datetime:
    """The time by the clock of the transaction's database: what its rows are compared with."""
    return clock_of(tx.get_bind()).now()
