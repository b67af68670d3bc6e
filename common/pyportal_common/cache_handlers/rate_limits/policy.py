"""Rate limits: what they are, what a request is charged, and the decision."""

import math
import re
from collections.abc import Sequence
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

    A `shadow` limit refuses nothing, also not without Redis. It counts as if it were enforced, and
    reports what it would refuse. Such requests cost it nothing, as those that are refused.
    """

    name: str
    limit: int
    window: int
    on_error: OnError = "local"
    shadow: bool = False
    field: str = field(init=False, repr=False, compare=False)
    """The field of an identifier's hash that holds the state of this limit.

    It contains the window of the declaration, because an app may have limits of one name and
    several windows. It remains when `parse` changes the rate. So the requests that were counted
    before still count, in every process, whichever rate it has already.
    """

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= _MAX_LIMIT:
            raise ValueError(f"a limit is 1 to {_MAX_LIMIT}, not {self.limit}")
        if not 1 <= self.window <= _MAX_WINDOW:
            raise ValueError(f"a window is 1 to {_MAX_WINDOW} seconds, not {self.window}")
        object.__setattr__(self, "field", f"{self.name}/{self.window}")

    @property
    def rate(self) -> str:
        """The rate as `parse` reads it."""
        return f"{self.limit}/{self.window}" + ";shadow" * self.shadow

    def parse(self, text: str) -> Self:
        """This limit with another rate. Raises ValueError.

        "5/60" is five in sixty seconds, and "5/60;shadow" is the same as a shadow limit.
        """
        match = re.fullmatch(r"(\d{1,20})/(\d{1,20})(\s*;\s*shadow)?", text.strip(), re.ASCII)
        if match is None:
            raise ValueError('a rate limit is written "limit/seconds", as in 5/60 or 5/60;shadow')
        found = replace(self, limit=int(match[1]), window=int(match[2]), shadow=bool(match[3]))
        object.__setattr__(found, "field", self.field)
        return found


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

    `shadow` if there are only shadow limits. Then `remaining` is the whole limit.
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
    shadow: bool = field(default=False, compare=False, repr=False)
    near: tuple[Charge, ...] = field(default=(), compare=False, repr=False)
    """The charges after which less than a fifth of their limit is left."""
    over: tuple[Charge, ...] = field(default=(), compare=False, repr=False)
    """What shadow limits would have refused, and have not counted."""


def decide(charges: tuple[Charge, ...], reply: Sequence[int], *, local: bool) -> Decision:
    """The decision in a reply, which window.lua describes."""
    number, remaining, retry, reset, more, now, *notable = reply
    near = tuple(charges[each - 1] for each in notable if each > 0)
    over = tuple(charges[-each - 1] for each in notable if each < 0)
    counted = charges
    if over:
        counted = tuple(each for i, each in enumerate(charges, 1) if -i not in notable)
    receipt = Receipt(counted, now, local) if retry == 0 and counted else None
    if number == 0:
        return replace(unlimited(charges), receipt=receipt, shadow=True, near=near, over=over)
    rate_limit = charges[number - 1].rate_limit
    return Decision(
        allowed=retry == 0,
        rate_limit=rate_limit.name,
        limit=rate_limit.limit,
        remaining=remaining,
        retry_after=math.ceil(retry / MICROSECONDS),
        reset_after=math.ceil(reset / MICROSECONDS),
        receipt=receipt,
        window=rate_limit.window,
        more_after=math.ceil(more / MICROSECONDS),
        near=near,
        over=over,
    )


def unlimited(charges: Sequence[Charge]) -> Decision:
    """The decision of limits that do not count: the lowest one is unused."""
    lowest = min((charge.rate_limit for charge in charges), key=lambda each: each.limit)
    return Decision(True, lowest.name, lowest.limit, lowest.limit, 0, 0, window=lowest.window)


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
