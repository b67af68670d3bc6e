"""Rate limits in words: a rate_limit, what a request spends of it, and what comes of that."""

import math
import re
from dataclasses import dataclass, field, replace
from typing import Literal, Self

MICROSECONDS = 1_000_000  # in a second
_LONGEST_WINDOW = 366 * 24 * 3600  # seconds
_HIGHEST_LIMIT = 1_000_000_000

OnError = Literal["local", "open", "closed"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A rate_limit: at most `limit` in any `window` seconds. `name` tells it from others.

    `on_error` is what it means while Redis is unavailable: `local`, the same limit counted in this
    process; `open`, no limit; `closed`, RedisUnavailable is raised.
    """

    name: str
    limit: int
    window: int
    on_error: OnError = "local"
    field: str = field(init=False, repr=False, compare=False)
    """Where an identifier's hash keeps this rate_limit.

    The window is in it and the limit is not: with another limit what was used still counts,
    while entries kept for one window would be too few for another.
    """

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= _HIGHEST_LIMIT:
            raise ValueError(f"a limit is 1 to {_HIGHEST_LIMIT}, not {self.limit}")
        if not 1 <= self.window <= _LONGEST_WINDOW:
            raise ValueError(f"a window is 1 to {_LONGEST_WINDOW} seconds, not {self.window}")
        object.__setattr__(self, "field", f"{self.name}/{self.window}")

    def parse(self, text: str) -> Self:
        """This limit with another rate: "5/60" is five in sixty seconds. Raises ValueError."""
        match = re.fullmatch(r"(\d{1,10})/(\d{1,10})", text.strip())
        if match is None:
            raise ValueError('a rate limit is written "limit/seconds", as in 5/60')
        return replace(self, limit=int(match[1]), window=int(match[2]))


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request spends: `cost` of the rate_limit's limit, for this identifier."""

    rate_limit: RateLimit
    identifier: str
    cost: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.cost <= self.rate_limit.limit:
            raise ValueError(f"a cost is 1 to the limit {self.rate_limit.limit}, not {self.cost}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was spent, when (µs) and where: what `Limiter.refund` needs."""

    charges: tuple[Charge, ...]
    at: int
    local: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request may pass, and what its tightest rate_limit has to say.

    `rate_limit` is that one's name. `retry_after` is the true wait in whole seconds, rounded up; 0
    when the request may pass. `reset_after` is when nothing would be used any more, in seconds
    likewise.
    """

    allowed: bool
    rate_limit: str
    limit: int
    remaining: int
    retry_after: int
    reset_after: int
    receipt: Receipt | None = field(default=None, compare=False, repr=False)


def decide(
    rate_limit: RateLimit, remaining: int, retry: int, reset: int, receipt: Receipt
) -> Decision:
    """What the tightest rate_limit says, of times in µs. Without a wait the request is admitted."""
    return Decision(
        allowed=retry == 0,
        rate_limit=rate_limit.name,
        limit=rate_limit.limit,
        remaining=remaining,
        retry_after=math.ceil(retry / MICROSECONDS),
        reset_after=math.ceil(reset / MICROSECONDS),
        receipt=receipt if retry == 0 else None,
    )
