"""Sliding windows in this process, for use while Redis is unavailable."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .policy import MICROSECONDS, Charge, Decision, RateLimit, Receipt, decide

_SLOTS = 64

Window = list[tuple[int, int]]
"""When requests were allowed (in microseconds), and how many."""


class LocalWindows:
    """The algorithm of `window.lua` in this process.

    Keeps the `capacity` windows that were used last, at most about 30 MB. A flood of addresses
    cannot exhaust the memory, but it can make the process forget windows.
    """

    def __init__(self, *, clock: Callable[[], float], capacity: int = 5_000) -> None:
        self._clock = clock
        self._capacity = capacity
        self._lock = threading.Lock()
        self.windows: OrderedDict[tuple[str, str], Window] = OrderedDict()
        """The windows by identifier and field of the rate limit."""

    def hit(self, charges: tuple[Charge, ...]) -> Decision:
        """As Limiter.hit."""
        with self._lock:
            now = int(self._clock() * MICROSECONDS)
            pairs = [(charge, self._current(charge, now)) for charge in charges]
            over = {i for i, pair in enumerate(pairs) if _excess(*pair) > 0}
            admitted = all(charges[i].rate_limit.shadow for i in over)
            for i, (charge, window) in enumerate(pairs if admitted else []):
                if i not in over:
                    _add(window, now, charge)
            verdicts = [_verdict(charge, window, admitted, now) for charge, window in pairs]
            notable = _notable(verdicts, over) if admitted else []
            return decide(charges, [*_tightest(verdicts), now, *notable], local=True)

    def refund(self, receipt: Receipt) -> None:
        """As Limiter.refund."""
        with self._lock:
            for charge in receipt.charges:
                window = self.windows.get((charge.identifier, charge.rate_limit.field), [])
                later = [entry for entry in window if entry[0] >= receipt.at]
                fitting = [entry for entry in later if entry[1] >= charge.cost] or window[-1:]
                for at, count in fitting[:1]:
                    index = window.index((at, count))
                    left = count - charge.cost
                    window[index : index + 1] = [(at, left)] if left > 0 else []

    def clear(self, identifier: str) -> None:
        """As Limiter.clear."""
        with self._lock:
            for key in [key for key in self.windows if key[0] == identifier]:
                del self.windows[key]

    def _current(self, charge: Charge, now: int) -> Window:
        key = (charge.identifier, charge.rate_limit.field)
        window = self.windows.setdefault(key, [])
        self.windows.move_to_end(key)
        if len(self.windows) > self._capacity:
            self.windows.popitem(last=False)
        horizon = now - charge.rate_limit.window * MICROSECONDS
        window[:] = [entry for entry in window if entry[0] > horizon]
        return window


class _Verdict(NamedTuple):
    """The state of one rate limit.

    Times are microseconds: until it would allow, until unused, until the oldest entry expires.
    """

    rate_limit: RateLimit
    remaining: int
    retry: int
    reset: int
    more: int


def _used(window: Window) -> int:
    return sum(count for _, count in window)


def _excess(charge: Charge, window: Window) -> int:
    return _used(window) + charge.cost - charge.rate_limit.limit


def _verdict(charge: Charge, window: Window, admitted: bool, now: int) -> _Verdict:
    limit, span = charge.rate_limit, charge.rate_limit.window * MICROSECONDS
    retry, to_free = 0, 0 if admitted else _excess(charge, window)
    for at, count in window:
        if to_free <= 0:
            break
        to_free -= count
        retry = at + span - now
    reset, more = (window[end][0] + span - now if window else 0 for end in (-1, 0))
    return _Verdict(limit, max(0, limit.limit - _used(window)), retry, reset, more)


def _tightest(verdicts: list[_Verdict]) -> tuple[int, int, int, int, int]:
    """The number and the state of the enforced limit that refuses longest, else of the one with
    the least remaining. Zeros if none is enforced.
    """
    enforced = [each for each in enumerate(verdicts, 1) if not each[1].rate_limit.shadow]
    if not enforced:
        return 0, 0, 0, 0, 0
    if any(verdict.retry > 0 for _, verdict in enforced):
        number, found = max(enforced, key=lambda each: each[1].retry)
    else:
        number, found = min(enforced, key=lambda each: (each[1].remaining, -each[1].reset))
    return number, *found[1:]


def _notable(verdicts: list[_Verdict], over: set[int]) -> Iterator[int]:
    """As window.lua: i for a limit of which little is left, -i for one that would have refused."""
    for i, verdict in enumerate(verdicts):
        if i in over:
            yield -(i + 1)
        elif verdict.remaining * 5 < verdict.rate_limit.limit:
            yield i + 1


def _add(window: Window, now: int, charge: Charge) -> None:
    width = math.ceil(charge.rate_limit.window * MICROSECONDS / (_SLOTS - 1))
    if len(window) >= _SLOTS:
        at, count = window[-1]
        if at // width == now // width:
            window[-1] = (now, count + charge.cost)
            return
        _merge(window, width)
    window.append((now, charge.cost))


def _merge(window: Window, width: int) -> None:
    merged: Window = []
    for at, count in window:
        if merged and merged[-1][0] // width == at // width:
            merged[-1] = (at, merged[-1][1] + count)
        else:
            merged.append((at, count))
    window[:] = merged
