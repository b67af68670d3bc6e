"""Sliding windows in this process, for as long as Redis is unavailable."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable

from .policy import MICROSECONDS, Charge, Decision, RateLimit, Receipt, decide

_SLOTS = 64


class LocalWindows:
    """The windows of `window.lua` in this process, for as long as Redis is unavailable.

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
            now = int(self._clock() * MICROSECONDS)
            windows = [self._live(charge, now) for charge in charges]
            excesses = [
                sum(count for _, count in window) + charge.cost - charge.rate_limit.limit
                for charge, window in zip(charges, windows, strict=True)
            ]
            if max(excesses) <= 0:
                for charge, window in zip(charges, windows, strict=True):
                    _add(window, now, charge)
            verdicts = [
                _verdict(charge, window, excess, now)
                for charge, window, excess in zip(charges, windows, excesses, strict=True)
            ]
            return decide(*_tightest(verdicts), Receipt(charges, now, local=True))

    def refund(self, receipt: Receipt) -> None:
        """As Limiter.refund."""
        with self._lock:
            for charge in receipt.charges:
                window = self._windows.get((charge.identifier, charge.rate_limit.field), [])
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
        key = (charge.identifier, charge.rate_limit.field)
        window = self._windows.setdefault(key, [])
        self._windows.move_to_end(key)
        if len(self._windows) > self._capacity:
            self._windows.popitem(last=False)
        horizon = now - charge.rate_limit.window * MICROSECONDS
        window[:] = [entry for entry in window if entry[0] > horizon]
        return window


_Verdict = tuple[RateLimit, int, int, int]
"""A rate_limit, what is left, the time until it would admit the request, until nothing is used."""


def _verdict(charge: Charge, window: list[tuple[int, int]], excess: int, now: int) -> _Verdict:
    span = charge.rate_limit.window * MICROSECONDS
    used = sum(count for _, count in window)
    retry, to_free = 0, excess
    for stamp, count in window:
        if to_free <= 0:
            break
        to_free -= count
        retry = stamp + span - now
    reset = window[-1][0] + span - now if window else 0
    return charge.rate_limit, max(0, charge.rate_limit.limit - used), retry, reset


def _tightest(verdicts: list[_Verdict]) -> _Verdict:
    """The rate_limit that refuses longest, or the one with the least left."""
    refused = [verdict for verdict in verdicts if verdict[2] > 0]
    if refused:
        return max(refused, key=lambda verdict: verdict[2])
    return min(verdicts, key=lambda verdict: (verdict[1], -verdict[3]))


def _add(window: list[tuple[int, int]], now: int, charge: Charge) -> None:
    width = math.ceil(charge.rate_limit.window * MICROSECONDS / (_SLOTS - 1))
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
