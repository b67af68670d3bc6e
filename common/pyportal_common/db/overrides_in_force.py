"""The overrides of rate limits that a process applies: read from SQL once a second."""

import logging
import os
import threading
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import Overrides, RateLimit
from .limit_overrides import LimitOverride, LimitOverrides

logger = logging.getLogger(__name__)

_READ_EVERY_SECONDS = 1.0
_FIRST_READ_SECONDS = 0.5


class OverridesInForce:
    """The overrides of `declared` limits that a process applies, for `Limiter.follow`.

    A thread of each process reads them once a second, from the first request on, so a change is in
    force everywhere within two seconds while SQL answers. While it does not, and where a row cannot
    be used, the last good rate remains in force. That is the declared one in a new process.

    An override for a role applies to limits that are charged together with the session.
    """

    def __init__(
        self,
        overrides: LimitOverrides,
        declared: Mapping[str, RateLimit],
        *,
        interval_seconds: float = _READ_EVERY_SECONDS,
    ) -> None:
        self.declared = declared
        """The limits of the service's settings, by name."""
        self._overrides = overrides
        self.interval_seconds = interval_seconds
        self._current: Overrides = {}
        self._odd: dict[tuple[str, str], str] = {}
        self._is_failing = False
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._pid = 0  # of the process whose thread reads

    def current(self) -> Overrides:
        """The overrides in force in this process. No trip.

        Only the first call in a process waits, for half a second at most, until they are read.
        """
        if self._pid != os.getpid():  # a fork does not copy the thread
            self._start()
        return self._current

    def refresh(self) -> None:
        """Read the overrides. Keeps what was last good where one cannot be used.

        Raises SQLAlchemyError; then all remain as they were.
        """
        found: dict[tuple[str, str], RateLimit] = {}
        odd: dict[tuple[str, str], str] = {}
        for each in self._overrides.list():
            key = (each.name, each.role)
            try:
                found[key] = self._parse(each)
            except ValueError as error:
                odd[key] = f"{error}"
                if key in self._current:
                    found[key] = self._current[key]
        self._report(found, odd)
        self._current, self._odd = found, odd

    def close(self) -> None:
        """Stop the thread."""
        self._closing.set()

    def _parse(self, override: LimitOverride) -> RateLimit:
        limit = self.declared.get(override.name)
        if limit is None:
            raise ValueError(f"the limits are {', '.join(sorted(self.declared))}")
        return limit.parse(override.rate or "")

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
