"""When some process that sweeps could reach Redis, and from when on it could for long enough."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from .history import History, Life

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
        lost = _lost(life, end)
        spans += _without((life.ready, end), sorted([*faults, *lost]))
    return spans


def within_reach(spans: Sequence[Span], since: int, length: int) -> int | None:
    """The first moment from `since` on that one process had Redis for `length` after it."""
    begins = (max(begin, since) for begin, end in spans if end - max(begin, since) >= length)
    return min(begins, default=None)


def _lost(life: Life, end: int) -> Iterable[Span]:
    for (at, is_lost), (until, _) in pairwise([*life.breaker, (end, False)]):
        if is_lost:
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
