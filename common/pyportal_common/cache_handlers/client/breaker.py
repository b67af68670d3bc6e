"""The circuit breaker of a Redis server: knows whether it is available, refusing, or down."""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import RedisRefused, RedisUnavailable, code_of, is_reply
from .observer import SILENT
from .troubles import State, Troubles

logger = logging.getLogger(__name__)

_PAUSE_AFTER_RELAPSE = 1.5  # seconds
# A connection that was opened earlier may lead to a server that is not the master any more.
_OTHER_SERVER_CODES = {"READONLY", "REDIRECT", "NOREPLICAS"}
_SERVER = ""  # the name of what concerns all databases


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a database, and a word for the reason unless it is ok."""

    state: State = "ok"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Watched:
    probe: Callable[[], object]
    reconnect: Callable[[], None]


class Breaker:
    """Stops the use of a Redis server at its first failure, until probes succeed.

    One failure is enough, because every further attempt on a hung server would cost a request the
    whole read timeout. A server that is up and answers commands with errors is *refusing*: every
    command is still sent, but the state is logged, counted and part of the health check.

    Requests never probe. A daemon thread probes at once, so that a single lost connection costs
    milliseconds, and then every `interval` seconds: every database on a connection of its own. If
    the server fails again right after a successful probe, the breaker stays open for a moment.

    The pattern is Nygard's circuit breaker (Release It!, 2007), with a probe instead of the
    half-open state.
    """

    def __init__(
        self, address: str, probe: Callable[[], object] | None = None, *, interval: float = 0.5
    ) -> None:
        self.address = address
        self.observer = SILENT
        self._interval = interval
        self._watched: dict[str, _Watched] = {}
        self._reset()
        if probe is not None:
            self.watch(address, probe)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._failure: Exception | None = None
        self._recovered_at = -math.inf
        self._closed_until = -math.inf  # after a relapse
        self._troubles = Troubles(self.address)
        self._reconnected: dict[str, float] = {}
        self._checks_due = False
        self._probing = False
        self._pid = os.getpid()  # last: other threads of a forked process must find a new lock

    # --- for clients ---

    def watch(
        self,
        name: str,
        probe: Callable[[], object],
        reconnect: Callable[[], None] = lambda: None,
    ) -> None:
        """Probe a database of the server, too.

        `probe` raises RedisRefused if it is refused, and any other error if the server is down.
        `reconnect` is called after a probe has succeeded where commands had failed.
        """
        self._watched[name] = _Watched(probe, reconnect)

    @property
    def is_open(self) -> bool:
        """Whether the server counts as unavailable."""
        if self._failure is not None:
            self._check_pid()
        return self._failure is not None

    def status(self, name: str) -> Status:
        """The state of the database with this name. No round trip."""
        self._check_pid()
        failure = self._failure
        if failure is not None:
            return Status("unavailable", _word_for(failure))
        with self._lock:
            code = self._troubles.code_of(name)
        return Status("refusing", code) if code else Status()

    def check(self) -> None:
        """Raise RedisUnavailable while the server counts as unavailable. No round trip."""
        if self.is_open:
            raise self.unavailable(self._failure)

    def trip(self, error: Exception) -> RedisUnavailable:
        """Open the breaker, and return the error to raise."""
        self._check_pid()
        with self._lock:
            if not self._closing.is_set():
                self._open(error)
        return self.unavailable(error)

    def refuse(self, name: str, refusal: RedisRefused) -> None:
        """Note that the server refused a command to the database with this name."""
        self._check_pid()
        with self._lock:
            if not self._closing.is_set() and self._start_probing():
                self._note(name, refusal)

    def check_soon(self) -> None:
        """Probe in the background once, as if a command had failed. Returns at once."""
        self._check_pid()
        with self._lock:
            self._checks_due = True
            self._start_probing()

    def start_afresh(self) -> None:
        """Close it, because the server is another one now. What a probe has found is dropped."""
        was_open = self.is_open
        self._closing.set()
        self._reset()
        if was_open:
            self.observer.breaker(is_open=False)

    def close(self) -> None:
        """Stop the probing thread, if there is one. An open breaker stays open."""
        self._closing.set()

    # --- with the lock ---

    def _open(self, error: Exception) -> None:
        if not self._start_probing():
            return  # without a thread the breaker would never close
        now = time.monotonic()
        self._troubles.note_outage(_SERVER, error, now)
        if self._failure is not None:
            return
        self._failure = error
        if now - self._recovered_at < _PAUSE_AFTER_RELAPSE:
            self._closed_until = now + _PAUSE_AFTER_RELAPSE
        self.observer.breaker(is_open=True)

    def _close_again(self) -> None:
        if self._failure is None:
            return
        self._failure = None
        self._recovered_at = time.monotonic()
        self.observer.breaker(is_open=False)
        for watched in self._watched.values():
            watched.reconnect()

    def _note(self, name: str, refusal: RedisRefused) -> None:
        trouble = self._troubles.note_refusal(name, refusal, time.monotonic())
        if trouble is not None and trouble.code is not None:
            self.observer.refusing(trouble.code, is_refusing=True)

    def _settle(self, name: str, began: float) -> None:
        for trouble in self._troubles.settle(name, began, time.monotonic()):
            if trouble.code is not None:
                self.observer.refusing(trouble.code, is_refusing=False)

    def _start_probing(self) -> bool:
        if self._probing:
            return True
        try:
            threading.Thread(
                target=self._probe_until_settled, name="redis-probe", daemon=True
            ).start()
        except RuntimeError:  # no thread can start
            return False
        self._probing = True
        return True

    # --- in the thread ---

    def _probe_until_settled(self) -> None:
        closing = self._closing
        while not closing.is_set():
            self._probe_all(closing)
            with self._lock:
                if not (self._troubles.open or self._checks_due):
                    self._probing = False
                    return
            closing.wait(self._interval)

    def _probe_all(self, closing: threading.Event) -> None:
        self._checks_due = False
        began = time.monotonic()
        outcomes = {name: _outcome_of(each.probe) for name, each in list(self._watched.items())}
        refused = {
            name: found for name, found in outcomes.items() if isinstance(found, RedisRefused)
        }
        failed = [found for name, found in outcomes.items() if found and name not in refused]
        with self._lock:
            if closing.is_set():
                return
            if not failed and began >= self._closed_until:
                self._close_again()
                self._settle(_SERVER, began)
            for name, refusal in refused.items():
                self._note(name, refusal)
            self._troubles.log_refusals()
            if failed:
                self._open(failed[0])
                return
            for name in self._watched.keys() - refused.keys():
                self._reconnect(name)
                self._settle(name, began)

    def _reconnect(self, name: str) -> None:
        """Leave the connections on which commands were refused, if a new one does not refuse."""
        since = self._reconnected.get(name, -math.inf)
        if self._troubles.concerns(name, _OTHER_SERVER_CODES, since):
            self._reconnected[name] = time.monotonic()
            self._watched[name].reconnect()

    # --- the rest ---

    def _check_pid(self) -> None:
        if os.getpid() != self._pid:
            self._reset()  # a fork does not copy the probing thread

    def unavailable(self, failure: Exception | None) -> RedisUnavailable:
        """The error to raise for a failure."""
        reason = f"{type(failure).__name__}: {failure}" if failure is not None else "a moment ago"
        return RedisUnavailable(f"Redis {self.address} is unavailable: {reason}")


def _outcome_of(probe: Callable[[], object]) -> Exception | None:
    try:
        probe()
    except RedisRefused as refusal:
        return refusal
    except RedisUnavailable as outage:
        return outage.__cause__ if isinstance(outage.__cause__, Exception) else outage
    except Exception as error:
        logger.debug("A probe of Redis failed", exc_info=True)
        return error
    return None


def _word_for(failure: Exception) -> str:
    cause = failure.__cause__ if isinstance(failure, RedisUnavailable) else failure
    cause = cause or failure
    if is_reply(cause):
        return code_of(cause)
    return type(cause).__name__.removesuffix("Error").lower()
