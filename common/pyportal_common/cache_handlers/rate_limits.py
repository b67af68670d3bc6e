"""Rate limits: sliding windows in Redis, and in this process while Redis is unavailable."""

import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Self

from . import keys
from .client import RedisClient, Script
from .exceptions import RedisUnavailable
from .resilience import Use, during_outage

_SLOTS = 64
_MICROSECONDS = 1_000_000  # in a second
_LONGEST_WINDOW = 366 * 24 * 3600  # seconds
_HIGHEST_LIMIT = 1_000_000_000

OnError = Literal["local", "open", "closed"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A policy: at most `limit` in any `window` seconds. `name` tells it from others.

    `on_error` is what it means while Redis is unavailable: `local`, the same limit counted in this
    process; `open`, no limit; `closed`, RedisUnavailable is raised.
    """

    name: str
    limit: int
    window: int
    on_error: OnError = "local"
    field: str = field(init=False, repr=False, compare=False)
    """Where an identifier's hash keeps this policy.

    The window is in it and the limit is not: with another limit what was used still counts,
    while entries kept for one window would be too few for another.
    """

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= _HIGHEST_LIMIT:
            raise ValueError(f"a limit is 1 to {_HIGHEST_LIMIT}, not {self.limit}")
        if not 1 <= self.window <= _LONGEST_WINDOW:
            raise ValueError(f"a window is 1 to {_LONGEST_WINDOW} seconds, not {self.window}")
        object.__setattr__(self, "field", f"{self.name}/{self.window}")

    @classmethod
    def parse(cls, name: str, text: str, *, on_error: OnError = "local") -> Self:
        """Read "5/60": five in sixty seconds. Raises ValueError."""
        match = re.fullmatch(r"(\d{1,10})/(\d{1,10})", text.strip())
        if match is None:
            raise ValueError('a rate limit is written "limit/seconds", as in 5/60')
        return cls(name, int(match[1]), int(match[2]), on_error)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request spends: `cost` of the policy's limit, for this identifier."""

    policy: RateLimit
    identifier: str
    cost: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.cost <= self.policy.limit:
            raise ValueError(f"a cost is 1 to the limit {self.policy.limit}, not {self.cost}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was spent, when (µs) and where: what `Limiter.refund` needs."""

    charges: tuple[Charge, ...]
    at: int
    local: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request may pass, and what its tightest policy has to say.

    `policy` is that one's name. `retry_after` is the true wait in whole seconds, rounded up; 0
    when the request may pass. `reset_after` is when nothing would be used any more, in seconds
    likewise.
    """

    allowed: bool
    policy: str
    limit: int
    remaining: int
    retry_after: int
    reset_after: int
    receipt: Receipt | None = field(default=None, compare=False, repr=False)


class Limiter:
    """Limits that hold exactly over all processes, for one round trip a request.

    While Redis is unavailable each process counts for itself, with the same limits and from
    nothing; when it is back, what was counted meanwhile is forgotten. RedisPoolExhausted is
    raised on: a request that could not be counted is never admitted.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        service: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._service = service
        self._script = Script.load("window")
        self._refund = Script.load("refund")
        self._local = LocalWindows(clock=clock)

    def hit(self, *charges: Charge) -> Decision:
        """Spend all charges, or none of them if any policy refuses. One round trip."""
        windows = {(charge.identifier, charge.policy.field) for charge in charges}
        if not charges or len(windows) < len(charges):
            raise ValueError("hit needs charges, each of another policy or identifier")
        return during_outage(
            Use.RATE_LIMIT, lambda: self._hit_redis(charges), lambda: self._without_redis(charges)
        )

    def refund(self, decision: Decision) -> None:
        """Give back what an allowed request has spent, as if it had not been. One round trip.

        For limits on failures: reserve by `hit` before, refund after a success. What others have
        spent of the same limit stays. Nothing is raised in an outage: what was reserved then
        simply stays spent.
        """
        receipt = decision.receipt
        if receipt is None:
            return
        if receipt.local:
            self._local.refund(receipt)
            return
        arguments = [
            str(receipt.at),
            *(f"{charge.cost} {charge.policy.field}" for charge in receipt.charges),
        ]
        names = self._keys_of(receipt.charges)
        during_outage(
            Use.RATE_LIMIT, lambda: self._client.run(self._refund, names, arguments), lambda: None
        )

    def clear(self, identifier: str) -> None:
        """Forget all that `identifier` has spent, whatever the policy. One round trip."""
        self._local.clear(identifier)
        self._client.delete(keys.rate_limit(identifier, self._service))

    @property
    def client(self) -> RedisClient:
        """Of the Redis that counts."""
        return self._client

    def command(self, charges: tuple[Charge, ...]) -> tuple[list[str], list[str]]:
        """The keys and the arguments of the script window, for these charges."""
        arguments = [
            f"{charge.cost} {charge.policy.limit} {charge.policy.field}" for charge in charges
        ]
        return self._keys_of(charges), arguments

    def decision(self, charges: tuple[Charge, ...], answer: list[int]) -> Decision:
        """What the script answered, here or in another."""
        number, remaining, retry, reset, now = answer
        receipt = Receipt(charges, now, local=False)
        decision = _decision(charges[number - 1].policy, remaining, retry, reset, receipt)
        return self._told(decision, charges, local=False)

    def _hit_redis(self, charges: tuple[Charge, ...]) -> Decision:
        return self.decision(charges, self._client.run(self._script, *self.command(charges)))

    def _without_redis(self, charges: tuple[Charge, ...]) -> Decision:
        if any(charge.policy.on_error == "closed" for charge in charges):
            raise RedisUnavailable(
                "Redis is unavailable, and one of these limits closes without it"
            )
        counted = tuple(charge for charge in charges if charge.policy.on_error == "local")
        if counted:
            return self._told(self._local.hit(counted), charges, local=True)
        policy = min((charge.policy for charge in charges), key=lambda policy: policy.limit)
        decision = Decision(
            True, policy.name, policy.limit, policy.limit, retry_after=0, reset_after=0
        )
        return self._told(decision, charges, local=True)

    def _told(self, decision: Decision, charges: tuple[Charge, ...], *, local: bool) -> Decision:
        names = (
            [charge.policy.name for charge in charges] if decision.allowed else [decision.policy]
        )
        for name in names:
            self._client.observer.limit(name, allowed=decision.allowed, local=local)
        return decision

    def _keys_of(self, charges: tuple[Charge, ...]) -> list[str]:
        """One key where the charges have one identifier, else one for each."""
        identifiers = [charge.identifier for charge in charges]
        if len(set(identifiers)) == 1:
            del identifiers[1:]
        return [keys.rate_limit(identifier, self._service) for identifier in identifiers]


def _decision(
    policy: RateLimit, remaining: int, retry: int, reset: int, receipt: Receipt
) -> Decision:
    """What the tightest policy says, of times in µs. Without a wait the request is admitted."""
    return Decision(
        allowed=retry == 0,
        policy=policy.name,
        limit=policy.limit,
        remaining=remaining,
        retry_after=math.ceil(retry / _MICROSECONDS),
        reset_after=math.ceil(reset / _MICROSECONDS),
        receipt=receipt if retry == 0 else None,
    )


class LocalWindows:
    """The windows of `lua/window.lua` in this process, for as long as Redis is unavailable.

    Keeps the `capacity` windows that were used last: a flood of addresses cannot fill the memory
    (some 30 MB with as many entries as there can be), but it can make the process forget.
    """

    def __init__(self, *, clock: Callable[[], float], capacity: int = 5_000) -> None:
        self._clock = clock
        self._capacity = capacity
        self._lock = threading.Lock()
        self._windows: OrderedDict[tuple[str, str], list[tuple[int, int]]] = OrderedDict()

    def hit(self, charges: tuple[Charge, ...]) -> Decision:
        """As Limiter.hit."""
        with self._lock:
            now = int(self._clock() * _MICROSECONDS)
            windows = [self._live(charge, now) for charge in charges]
            excesses = [
                sum(count for _, count in window) + charge.cost - charge.policy.limit
                for charge, window in zip(charges, windows, strict=True)
            ]
            if max(excesses) <= 0:
                for charge, window in zip(charges, windows, strict=True):
                    _add(window, now, charge)
            verdicts = [
                _verdict(charge, window, excess, now)
                for charge, window, excess in zip(charges, windows, excesses, strict=True)
            ]
            return _decision(*_tightest(verdicts), Receipt(charges, now, local=True))

    def refund(self, receipt: Receipt) -> None:
        """As Limiter.refund."""
        with self._lock:
            for charge in receipt.charges:
                window = self._windows.get((charge.identifier, charge.policy.field), [])
                later = [entry for entry in window if entry[0] >= receipt.at]
                fitting = [entry for entry in later if entry[1] >= charge.cost] or window[-1:]
                for stamp, count in fitting[:1]:
                    place = window.index((stamp, count))
                    left = count - charge.cost
                    window[place : place + 1] = [(stamp, left)] if left > 0 else []

    def clear(self, identifier: str) -> None:
        """Forget `identifier`."""
        with self._lock:
            for key in [key for key in self._windows if key[0] == identifier]:
                del self._windows[key]

    def _live(self, charge: Charge, now: int) -> list[tuple[int, int]]:
        key = (charge.identifier, charge.policy.field)
        window = self._windows.setdefault(key, [])
        self._windows.move_to_end(key)
        if len(self._windows) > self._capacity:
            self._windows.popitem(last=False)
        horizon = now - charge.policy.window * _MICROSECONDS
        window[:] = [entry for entry in window if entry[0] > horizon]
        return window


_Verdict = tuple[RateLimit, int, int, int]
"""A policy, what is left, the time until it would admit the request, until nothing is used."""


def _verdict(charge: Charge, window: list[tuple[int, int]], excess: int, now: int) -> _Verdict:
    span = charge.policy.window * _MICROSECONDS
    used = sum(count for _, count in window)
    retry, to_free = 0, excess
    for stamp, count in window:
        if to_free <= 0:
            break
        to_free -= count
        retry = stamp + span - now
    reset = window[-1][0] + span - now if window else 0
    return charge.policy, max(0, charge.policy.limit - used), retry, reset


def _tightest(verdicts: list[_Verdict]) -> _Verdict:
    """The policy that refuses longest, or the one with the least left."""
    refused = [verdict for verdict in verdicts if verdict[2] > 0]
    if refused:
        return max(refused, key=lambda verdict: verdict[2])
    return min(verdicts, key=lambda verdict: (verdict[1], -verdict[3]))


def _add(window: list[tuple[int, int]], now: int, charge: Charge) -> None:
    width = math.ceil(charge.policy.window * _MICROSECONDS / (_SLOTS - 1))
    if len(window) >= _SLOTS:
        stamp, count = window[-1]
        if stamp // width == now // width:
            window[-1] = (now, count + charge.cost)
            return
        _merge(window, width)
    window.append((now, charge.cost))


def _merge(window: list[tuple[int, int]], width: int) -> None:
    merged: list[tuple[int, int]] = []
    for stamp, count in window:
        if merged and merged[-1][0] // width == stamp // width:
            merged[-1] = (stamp, merged[-1][1] + count)
        else:
            merged.append((stamp, count))
    window[:] = merged
