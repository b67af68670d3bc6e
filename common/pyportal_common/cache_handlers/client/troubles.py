"""What is wrong with a Redis server, and the log lines about it: one when it starts and ends."""

import logging
import math
from dataclasses import dataclass, field
from typing import Literal

from .advice import advice_on
from .errors import RedisRefused

logger = logging.getLogger(__name__)

State = Literal["ok", "refusing", "unavailable"]

_RELAPSE_WITHIN = 10.0  # seconds
_FIRST_HOLD = 1.5  # seconds
_LONGEST_HOLD = 60.0  # seconds
_OVER_AFTER = 2.0  # seconds without a refusal, although the end is logged later
_CLUSTER_CODES = {"ASK", "CLUSTERDOWN", "CROSSSLOT", "MOVED", "TRYAGAIN"}  # one reason


@dataclass(slots=True)
class Trouble:
    """One thing that is wrong: an outage, or refusals with one code.

    It ends when it was not seen for `hold` seconds. After a relapse that is longer, so that a
    state which comes and goes does not fill the log.
    """

    code: str | None  # None: an outage
    began: float
    hold: float
    refusal: RedisRefused | None = None  # that is not yet in the log
    last_seen: dict[str, float] = field(default_factory=dict)
    """By the name of the database, by time.monotonic()."""
    over: set[str] = field(default_factory=set)
    """The databases that work again, although the end is not in the log yet."""


class Troubles:
    """The troubles with one server. Not safe for threads: the breaker has the lock."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.open: dict[str | None, Trouble] = {}
        self._ended: dict[str | None, tuple[float, float]] = {}  # when, and its hold

    def note_outage(self, name: str, error: Exception, now: float) -> bool:
        """Note an outage. Returns whether it is new."""
        is_new = self._note(None, name, now)
        if is_new:
            logger.warning(
                "Redis %s is unavailable: %s: %s. Until it is back, reads of its caches miss, its"
                " sessions are refused, and its rate limits are counted in this process",
                self._address,
                type(error).__name__,
                error,
            )
        return is_new

    def note_refusal(self, name: str, refusal: RedisRefused, now: float) -> Trouble | None:
        """Note a refusal by the database with this name. Returns what is new, if anything is.

        It is logged by `log_refusals`, after a probe has had the time to say more about it.
        """
        code = "CLUSTER" if refusal.code in _CLUSTER_CODES else refusal.code
        is_new = self._note(code, name, now)
        trouble = self.open[code]
        if is_new or trouble.refusal is not None:
            trouble.refusal = refusal
        return trouble if is_new else None

    def log_refusals(self) -> None:
        """Log what was noted since the last call, as it was noted last."""
        for trouble in self.open.values():
            refusal, trouble.refusal = trouble.refusal, None
            if refusal is not None:
                logger.warning(
                    "%s: %s. Meanwhile, what these commands are for works as in an outage",
                    refusal,
                    advice_on(refusal.code, str(refusal)),
                )

    def settle(self, name: str, probed: float, now: float) -> list[Trouble]:
        """End what was not seen since the probe of `name` that succeeded. Returns what ended."""
        ended = []
        for code, trouble in list(self.open.items()):
            seen = trouble.last_seen.get(name, math.inf)
            if seen <= probed and now - seen >= min(trouble.hold, _OVER_AFTER):
                trouble.over.add(name)
            if seen <= probed and now - seen >= trouble.hold:
                del trouble.last_seen[name]
            if not trouble.last_seen:
                del self.open[code]
                self._ended[code] = now, trouble.hold
                self._log_end(trouble, now)
                ended.append(trouble)
        return ended

    def code_of(self, name: str) -> str | None:
        """The latest code with which the database with this name refuses commands, if it does."""
        seen = {
            code: trouble.last_seen[name]
            for code, trouble in self.open.items()
            if code is not None and name in trouble.last_seen and name not in trouble.over
        }
        return max(seen, key=seen.__getitem__) if seen else None

    def concerns(self, name: str, codes_of_all: set[str], since: float) -> bool:
        """Whether this database refused since then, or any one with a code that concerns all."""
        return any(
            seen > since and (refused == name or code in codes_of_all)
            for code, trouble in self.open.items()
            for refused, seen in trouble.last_seen.items()
        )

    def _note(self, code: str | None, name: str, now: float) -> bool:
        is_new = code not in self.open
        if is_new:
            self.open[code] = Trouble(code, now, self._hold(code, now))
        self.open[code].last_seen[name] = now
        self.open[code].over.discard(name)
        return is_new

    def _hold(self, code: str | None, now: float) -> float:
        ended, hold = self._ended.get(code, (-math.inf, 0.0))
        if now - ended > max(_RELAPSE_WITHIN, 2 * hold):
            return 0.0
        return min(_LONGEST_HOLD, max(_FIRST_HOLD, 2 * hold))

    def _log_end(self, trouble: Trouble, now: float) -> None:
        lasted = now - trouble.began
        if trouble.code is None:
            logger.warning("Redis %s is back after %.1f s", self._address, lasted)
            return
        logger.warning(
            "Redis %s accepts commands again, which it refused for %.1f s: %s",
            self._address,
            lasted,
            trouble.code,
        )
