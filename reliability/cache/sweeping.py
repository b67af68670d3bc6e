"""When some process that sweeps was connected to Redis, and for how long."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from .history import History

Span = tuple[int, int]

_NOT_COUNTED = ("mixed",)  # behind the relay


def sweeping_spans(history: History) -> list[Span]:
    """The spans in which a process ran and was connected, and Redis ran: for each process."""
    faults = [
        (fault.begin, fault.end) for fault in history.faults if fault.kind.startswith("redis")
    ]
    spans: list[Span] = []
    for name, lifetime in history.lifetimes.items():
        if lifetime.ready is None or name.startswith(_NOT_COUNTED):
            continue
        end = lifetime.ended or history.ended
        away = [*_spans(lifetime.disconnected, end), *_spans(lifetime.stopped, end)]
        spans += _without((lifetime.ready, end), sorted([*faults, *away]))
    return spans


def connected_since(spans: Sequence[Span], since: int, length: int) -> int | None:
    """The first moment from `since` on after which one process was connected for `length`."""
    begins = (max(begin, since) for begin, end in spans if end - max(begin, since) >= length)
    return min(begins, default=None)


def _spans(changes: Sequence[tuple[int, bool]], end: int) -> Iterable[Span]:
    for (at, is_away), (until, _) in pairwise([*changes, (end, False)]):
        if is_away:
            yield at, until


def _without(span: Span, holes: Sequence[Span]) -> Iterable[Span]:
    begin, end = span
    for hole_begin, hole_end in holes:
        if hole_begin > begin:
            yield begin, min(hole_begin, end)
        begin = max(begin, hole_end)
        if begin >= end:
            return
    yield begin, end
