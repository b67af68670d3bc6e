"""Rate limits that operators change while the services run: rows in SQL, read once a second."""

import logging
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import Overrides, RateLimit
from .audit import Actor
from .database import Database
from .row_checks import RowCheck
from .types import Transaction, UtcDateTime

logger = logging.getLogger(__name__)

_READ_EVERY_SECONDS = 1.0
_FIRST_READ_SECONDS = 0.5
_MOST_ROWS = 1000
_ROLE = re.compile(r"([a-z][a-z0-9_-]{0,19})?")

OVERRIDES = sa.Table(
    "rate_limit_overrides",
    sa.MetaData(),
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("role", sa.String(20), primary_key=True),  # empty in those of everybody
    sa.Column("rate", sa.String(40)),  # as RateLimit.parse reads it; null after `clear`
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("changed_by", sa.String(100), nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)
_IN_FORCE = (
    sa.select(OVERRIDES.c.name, OVERRIDES.c.role, OVERRIDES.c.rate)
    .where(OVERRIDES.c.rate.is_not(None))
    .order_by(OVERRIDES.c.name, OVERRIDES.c.role)
    .limit(_MOST_ROWS)
)


def add_overrides_table(metadata: sa.MetaData) -> None:
    """Add the table to those of a service."""
    if OVERRIDES.name not in metadata.tables:
        OVERRIDES.to_metadata(metadata)


def check_role(role: str) -> None:
    """Raise ValueError for a text that is not the name of a role, nor empty."""
    if _ROLE.fullmatch(role) is None:
        raise ValueError("a role has at most 20 lower-case letters, digits, _ and -")


class RateLimitNotFound(Exception):
    """The service declares no rate limit of this name."""


class OverrideChanged(Exception):
    """The override has not the version any more that the caller expected."""


@dataclass(frozen=True, slots=True)
class LimitOverride:
    """The rate that replaces a declared one, for one role or, if that is empty, for everybody.

    `rate` is as in 10/60 or 10/60;shadow; None if the override was cleared. `version` grows with
    each change, also by `clear`.
    """

    name: str
    role: str
    rate: str | None
    version: int
    changed_by: Actor
    changed_at: datetime


class LimitOverrides:
    """The overrides of a service's rate limits.

    A thread of each process reads them once a second, from the first request on, so a change is in
    force everywhere within two seconds while SQL answers. While it does not, and where a row cannot
    be used, the last good rate remains in force. That is the declared one in a new process.

    An override for a role applies to limits that are charged together with the session. `audit`
    records a change in its transaction; if it raises, nothing is changed.
    """

    def __init__(
        self,
        database: Database,
        declared: Mapping[str, RateLimit],
        *,
        audit: Callable[[Transaction, Actor, LimitOverride], object],
        interval_seconds: float = _READ_EVERY_SECONDS,
    ) -> None:
        self.declared = declared
        """The limits of the service's settings, by name."""
        self._database = database
        self._audit = audit
        self.interval_seconds = interval_seconds
        self._any = RowCheck(database.engine, _IN_FORCE)
        self._current: Overrides = {}
        self._odd: dict[tuple[str, str], str] = {}
        self._is_failing = False
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._pid = 0  # of the process whose thread reads

    # --- for every request ---

    def current(self) -> Overrides:
        """The overrides in force in this process. No trip.

        Only the first call in a process waits, for half a second at most, until they are read.
        """
        if self._pid != os.getpid():  # a fork does not copy the thread
            self._start()
        return self._current

    # --- for operators ---

    def list(self) -> Sequence[LimitOverride]:
        """The overrides that are not cleared, by name, also those that cannot be used."""
        found = sa.select(OVERRIDES).where(OVERRIDES.c.rate.is_not(None))
        with self._database.read() as tx:
            rows = tx.execute(found.order_by(OVERRIDES.c.name, OVERRIDES.c.role).limit(_MOST_ROWS))
            return [_override(row) for row in rows]

    def set(
        self, name: str, rate: str, *, by: Actor, role: str = "", version: int | None = None
    ) -> LimitOverride:
        """Replace a rate: "10/60", or "10/60;shadow" to try it first.

        With a `version`, only the override of that version is replaced; 0 if there was never one.
        Raises RateLimitNotFound, ValueError, OverrideChanged.
        """
        check_role(role)
        values = _change(self._parse(name, rate).rate, by.name)
        with self._database.begin(changes_cached=False) as tx:
            dialect = tx.get_bind().dialect.name
            insert = (
                sqlite.insert(OVERRIDES) if dialect == "sqlite" else postgresql.insert(OVERRIDES)
            )
            changed = insert.values(values | {"name": name, "role": role, "version": 1})
            changed = changed.on_conflict_do_update(
                index_elements=[OVERRIDES.c.name, OVERRIDES.c.role],
                set_=values | {"version": OVERRIDES.c.version + 1},
            )
            found = _override(tx.execute(changed.returning(OVERRIDES)).one())
            if version is not None and found.version != version + 1:
                raise OverrideChanged(f"{name} was changed since version {version}")
            self._audit(tx, by, found)
        return found

    def clear(
        self, name: str, *, by: Actor, role: str = "", version: int | None = None
    ) -> LimitOverride | None:
        """Return to the declared rate, or for a role to that of everybody. None if it was so.

        Raises OverrideChanged.
        """
        row = (OVERRIDES.c.name == name) & (OVERRIDES.c.role == role)
        changed = sa.update(OVERRIDES).where(row & OVERRIDES.c.rate.is_not(None))
        changed = changed.values(_change(None, by.name) | {"version": OVERRIDES.c.version + 1})
        with self._database.begin(changes_cached=False) as tx:
            cleared = tx.execute(changed.returning(OVERRIDES)).one_or_none()
            if version is not None and (cleared is None or cleared.version != version + 1):
                raise OverrideChanged(f"{name} was changed since version {version}")
            if cleared is None:
                return None
            self._audit(tx, by, _override(cleared))
        return _override(cleared)

    # --- the thread ---

    def refresh(self) -> None:
        """Read the overrides. Keeps what was last good where one cannot be used.

        Raises SQLAlchemyError; then all remain as they were.
        """
        rows: Sequence[Any] = ()
        if self._any.finds_any():
            with self._database.read() as tx:
                rows = tx.execute(_IN_FORCE).all()
        found: dict[tuple[str, str], RateLimit] = {}
        odd: dict[tuple[str, str], str] = {}
        for row in rows:
            key = (row.name, row.role)
            try:
                found[key] = self._parse(row.name, row.rate)
            except (RateLimitNotFound, ValueError) as error:
                odd[key] = f"{error}"
                if key in self._current:
                    found[key] = self._current[key]
        self._report(found, odd)
        self._current, self._odd = found, odd

    def close(self) -> None:
        """Stop the thread."""
        self._closing.set()

    def _parse(self, name: str, rate: str) -> RateLimit:
        limit = self.declared.get(name)
        if limit is None:
            raise RateLimitNotFound(f"no rate limit {name!r}: {', '.join(sorted(self.declared))}")
        return limit.parse(rate)

    def _report(
        self, found: Mapping[tuple[str, str], RateLimit], odd: Mapping[tuple[str, str], str]
    ) -> None:
        for name, role in sorted({*found, *self._current}):
            now, before = found.get((name, role)), self._current.get((name, role))
            if now != before:
                rate = now.rate if now is not None else "as before its override"
                logger.info("Rate limit %s%s is now %s", name, f" for {role}" * bool(role), rate)
        for key, reason in odd.items():
            if self._odd.get(key) != reason:
                logger.warning("An override of rate limit %.100r is not used: %s", key[0], reason)

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid() or self._closing.is_set():
                return
            first_read = threading.Event()
            run = threading.Thread(target=self._run, args=(first_read,), name="limit-overrides")
            run.daemon = True
            run.start()
            first_read.wait(_FIRST_READ_SECONDS)
            self._pid = os.getpid()

    def _run(self, first_read: threading.Event) -> None:
        is_closing = False
        while not is_closing:
            self._attempt()
            first_read.set()
            is_closing = self._closing.wait(self.interval_seconds)

    def _attempt(self) -> None:
        try:
            self.refresh()
        except SQLAlchemyError as error:
            if not self._is_failing:
                logger.warning("Overrides of rate limits stay as they were last read: %s", error)
            self._is_failing = True
        except Exception:
            logger.exception("Reading overrides of rate limits failed; it is tried again")
        else:
            if self._is_failing:
                logger.warning("Overrides of rate limits are read again")
            self._is_failing = False


def _change(rate: str | None, by: str) -> dict[str, Any]:
    return {"rate": rate, "changed_by": by[:100], "changed_at": datetime.now(UTC)}


def _override(row: sa.Row[Any]) -> LimitOverride:
    return LimitOverride(**row._asdict())
