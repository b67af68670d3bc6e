"""Rate limits: what they are, what a request is charged, and the decision."""

import math
import re
from dataclasses import dataclass, field, replace
from typing import Literal, Self

MICROSECONDS = 1_000_000  # in a second
_MAX_WINDOW = 366 * 24 * 3600  # seconds
_MAX_LIMIT = 1_000_000_000

OnError = Literal["local", "open", "closed"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `limit` in any `window` seconds. `name` identifies the limit.

    `on_error` is what applies while Redis is unavailable. `local`: this process counts with the
    same limit. `open`: no limit. `closed`: RedisUnavailable is raised.
    """

    name: str
    limit: int
    window: int
    on_error: OnError = "local"
    field: str = field(init=False, repr=False, compare=False)
    """The field of an identifier's hash that holds the state of this limit.

    It contains the window but not the limit: after a change of the limit the requests of the
    current window still count, while the entries of one window are too few for a longer one.
    """

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= _MAX_LIMIT:
            raise ValueError(f"a limit is 1 to {_MAX_LIMIT}, not {self.limit}")
        if not 1 <= self.window <= _MAX_WINDOW:
            raise ValueError(f"a window is 1 to {_MAX_WINDOW} seconds, not {self.window}")
        object.__setattr__(self, "field", f"{self.name}/{self.window}")

    def parse(self, text: str) -> Self:
        """This limit with another rate: "5/60" is five in sixty seconds. Raises ValueError."""
        match = re.fullmatch(r"(\d{1,10})/(\d{1,10})", text.strip())
        if match is None:
            raise ValueError('a rate limit is written "limit/seconds", as in 5/60')
        return replace(self, limit=int(match[1]), window=int(match[2]))


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request is charged: `cost` units of a rate limit, for this identifier."""

    rate_limit: RateLimit
    identifier: str
    cost: int = 1

    def __post_init__(self) -> None:
        cost: object = self.cost  # perhaps from a client
        if not isinstance(cost, int) or isinstance(cost, bool):
            raise TypeError(f"a cost is a whole number, not {cost!r}")
        if not 1 <= self.cost <= self.rate_limit.limit:
            raise ValueError(f"a cost is 1 to the limit {self.rate_limit.limit}, not {self.cost}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was charged, when (in microseconds) and where: for `Limiter.refund`."""

    charges: tuple[Charge, ...]
    at: int
    local: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request is allowed, and the state of its tightest rate limit.

    `rate_limit` is the name of that limit, `window` its window in seconds. `retry_after` is the
    true wait in whole seconds, rounded up; 0 if the request is allowed. `reset_after` is the time
    until the limit is unused, and `more_after` the time until more than `remaining` is allowed,
    likewise.
    """

    allowed: bool
    rate_limit: str
    limit: int
    remaining: int
    retry_after: int
    reset_after: int
    receipt: Receipt | None = field(default=None, compare=False, repr=False)
    window: int = field(default=0, compare=False, repr=False)
    more_after: int = field(default=0, compare=False, repr=False)


def decide(
    rate_limit: RateLimit, remaining: int, retry: int, reset: int, more: int, *, receipt: Receipt
) -> Decision:
    """The decision of the tightest limit. Times are microseconds; no wait means allowed."""
    return Decision(
        allowed=retry == 0,
        rate_limit=rate_limit.name,
        limit=rate_limit.limit,
        remaining=remaining,
        retry_after=math.ceil(retry / MICROSECONDS),
        reset_after=math.ceil(reset / MICROSECONDS),
        receipt=receipt if retry == 0 else None,
        window=rate_limit.window,
        more_after=math.ceil(more / MICROSECONDS),
    )


@dataclass(frozen=True, slots=True)
class Usage:
    """What an identifier has used of a rate limit. `reset_after` is in seconds, rounded up."""

    identifier: str
    rate_limit: str
    used: int
    limit: int
    window: int
    reset_after: int

    @classmethod
    def of(cls, identifier: str, rate_limit: RateLimit, *, remaining: int, reset: int) -> Self:
        """The usage in a reply of the script `window`. `reset` is in microseconds."""
        used = rate_limit.limit - remaining
        return cls(
            identifier,
            rate_limit.name,
            used,
            rate_limit.limit,
            rate_limit.window,
            math.ceil(reset / MICROSECONDS) if used else 0,
        )
