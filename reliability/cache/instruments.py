"""What one process of a cache run records about itself, and the faults it causes itself."""

import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from common.pyportal_common.cache_handlers import AuditOutcome, Observer, Trip

from ..crash_points import CrashPoints
from ..journal import Journal, now
from .settings import CacheSettings

_CRASHES = 0.01  # of the points at which a writer may crash
_REFUSED_COMMITS = 0.02
_SLOW_LOADS = 0.05
_SLOW_REPLIES = 0.005  # of Redis


class CommitRefused(SQLAlchemyError):
    """A database may refuse a transaction as late as at its COMMIT."""


class Instruments(Observer):
    """Remembers what each thread is writing, and causes faults."""

    def __init__(self, settings: CacheSettings, name: str) -> None:
        self.journal: Journal = settings.run.journal(name)
        self._name = name
        self._points = CrashPoints(settings.run, name, self.journal)
        self._count = 0
        self._lock = threading.Lock()
        self._thread = threading.local()

    def round_trip(self, outcome: Trip, seconds: float) -> None:  # noqa: ARG002  see Observer
        """Remember it for `acknowledged`. Some replies are delayed."""
        self._thread.outcome = outcome
        self._points.maybe_pause(_SLOW_REPLIES, 0.04)

    def audit(self, kind: str, outcome: AuditOutcome) -> None:
        """Record what the consistency monitor has found."""
        self.journal.note("audit", now(), outcome, kind)

    def acknowledged(self, call: Callable[[], Any]) -> tuple[Any, bool]:
        """The result of a call, and whether Redis replied to the last command in it."""
        self._thread.outcome = None
        return call(), self._thread.outcome == "ok"

    @property
    def attempt(self) -> str | None:
        """The name of the write that this thread has begun."""
        attempt: str | None = getattr(self._thread, "attempt", None)
        return attempt

    def new_attempt(self) -> str:
        """A unique name for the write that this thread begins."""
        with self._lock:
            self._count += 1
            attempt = f"{self._name}/{self._count}"
        self._thread.attempt = attempt
        return attempt

    def forget_attempt(self) -> None:
        """Call it before each write."""
        self._thread.attempt = None

    def after_load(self) -> None:
        """Pause, perhaps: what was read from SQL is older when it is used."""
        self._points.maybe_pause(_SLOW_LOADS, 0.2)

    def refuse_commit(self) -> None:
        """Raise CommitRefused, perhaps."""
        if self._points.maybe(_REFUSED_COMMITS):
            self.journal.fault("commit-refused")
            raise CommitRefused

    def crash_point(self, point: str) -> None:
        """Crash, perhaps, at this point of a write."""
        self._points.maybe_crash(f"writer-killed:{point}", _CRASHES)
