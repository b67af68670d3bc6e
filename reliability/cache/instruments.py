"""What one process tells of itself, and what it does to itself by chance."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from common.pyportal_common.cache_handlers import Observer, Trip

from .journal import Journal, now

_DEADLY = 0.01  # of the moments at which a writer may die
_REFUSED = 0.02  # of the commits
_SLOW = 0.05  # of the loads
_LATE = 0.005  # of the answers of Redis


class CommitRefused(SQLAlchemyError):
    """As a database may refuse one, at the last moment."""


class Watch(Observer):
    """Notes when Redis is lost and found, and remembers for each thread what it is about.

    It also kills the process, where a kill from outside would seldom hit.
    """

    def __init__(self, name: str, journal: Journal, chance: random.Random) -> None:
        self.journal = journal
        self._name = name
        self._chance = chance
        self._count = 0
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def breaker(self, *, is_open: bool) -> None:
        """Into the journal."""
        self.journal.note("lost" if is_open else "found", now())

    def round_trip(self, outcome: Trip, seconds: float) -> None:  # noqa: ARG002  as Observer has it
        """For `heard`. Now and then the answer takes its time."""
        self._of_thread.outcome = outcome
        self._dawdle(_LATE, 0.04)

    def heard(self, call: Callable[[], Any]) -> tuple[Any, bool]:
        """What a call gives, and whether Redis answered the last command in it."""
        self._of_thread.outcome = None
        return call(), self._of_thread.outcome == "ok"

    @property
    def attempt(self) -> str | None:
        """What this thread is writing, if it has come so far."""
        attempt: str | None = getattr(self._of_thread, "attempt", None)
        return attempt

    def new_attempt(self) -> str:
        """A name for what this thread is about to write, that no other write has."""
        with self._lock:
            self._count += 1
            attempt = f"{self._name}/{self._count}"
        self._of_thread.attempt = attempt
        return attempt

    def forget_attempt(self) -> None:
        """Before the next one."""
        self._of_thread.attempt = None

    def loaded(self) -> None:
        """Perhaps wait: what was read from SQL is older when it is used."""
        self._dawdle(_SLOW, 0.2)

    def refuse(self) -> None:
        """Perhaps raise CommitRefused."""
        if self._chance.random() < _REFUSED:
            self.journal.note("fault", "commit-refused", now(), now())
            raise CommitRefused

    def risk(self, moment: str) -> None:
        """Perhaps die, at this moment of a write."""
        if self._chance.random() < _DEADLY:
            self.journal.note("done", now())
            self.journal.note("fault", f"writer-killed:{moment}", now(), now())
            os.kill(os.getpid(), signal.SIGKILL)

    def _dawdle(self, share: float, seconds: float) -> None:
        if self._chance.random() < share:
            time.sleep(self._chance.uniform(0, seconds))
