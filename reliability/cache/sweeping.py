"""When some process that sweeps could reach Redis, and from when on it could for long enough."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from .history import History

Span = tuple[int, int]

_NOT_COUNTED = ("mixed",)  # behind a relay that is cut


def sweeping_spans(history: History) -> list[Span]:
    """For each process the times in which it lived, believed in Redis, and Redis ran."""
    faults = [
        (fault.begin, fault.end) for fault in history.faults if fault.kind.startswith("redis")
    ]
    spans: list[Span] = []
    for name, life in history.lives.items():
        if life.ready is None or name.startswith(_NOT_COUNTED):
            continue
        end = life.ended or history.ended
        away = [*_bad(life.breaker, end), *_bad(life.stops, end)]
        spans += _without((life.ready, end), sorted([*faults, *away]))
    return spans


def within_reach(spans: Sequence[Span], since: int, length: int) -> int | None:
    """The first moment from `since` on that one process had Redis for `length` after it."""
    begins = (max(begin, since) for begin, end in spans if end - max(begin, since) >= length)
    return min(begins, default=None)


def _bad(changes: Sequence[tuple[int, bool]], end: int) -> Iterable[Span]:
    for (at, is_bad), (until, _) in pairwise([*changes, (end, False)]):
        if is_bad:
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
