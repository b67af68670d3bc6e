"""The guarantee, checked read by read. It raises no false alarm: every doubt is the reader's gain.

A read counts from before its call, an answer from after its return, a commit from when it is
certain. So what is found to be old was old, by at least as much.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from .history import Attempt, Fault, History, Lookup, Read
from .reach import Span, sweeping_spans, within_reach

# A record counts as left pending after a second, and is swept within another. The rest is for the
# sweep itself, and for a machine that has other work.
BOUND_NS = 2_500_000_000
_EXAMPLES = 5


class Level(Enum):
    """What the guarantee promises."""

    COMMITTED = "only committed values"
    ANSWERED = "nothing older than what was answered"
    SEEN = "nothing older than what was seen"
    UNANSWERED = f"nothing older than {BOUND_NS / 1e9:.1f} s without an answer"


@dataclass
class Verdict:
    """What was found. Times are nanoseconds."""

    violations: Counter[Level] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    excused: int = 0  # reads of something older than what was seen, after a fence was lost
    longest: int = 0  # that something older was read after a commit
    longest_within_reach: int = 0  # of that, with Redis in reach of a process that sweeps
    bounded: int = 0  # commits without a sure answer, whose bound came to pass within the run
    unfenced: int = 0  # commits whose fence had been lost, or may have been


class _Floors:
    """What a read that begins at some moment must not be older than, for each level."""

    def __init__(self, points: Iterable[tuple[int, int]]) -> None:
        self._moments: list[int] = []
        self._numbers: list[int] = []
        highest = -1
        for moment, number in sorted(points):
            if number > highest:
                highest = number
                self._moments.append(moment)
                self._numbers.append(number)

    def at(self, moment: int) -> int:
        """The number; -1 where there is none yet."""
        before = bisect_left(self._moments, moment)
        return self._numbers[before - 1] if before else -1


@dataclass
class _User:
    chain: Sequence[Attempt]
    floors: dict[Level, _Floors]
    of_addresses: dict[Level, _Floors]
    excusable: _Floors
    within_reach: list[int | None]


def check(history: History) -> Verdict:
    """Check every read."""
    verdict = Verdict()
    spans = sweeping_spans(history)
    crashes = [fault for fault in history.faults if fault.kind.startswith("redis-killed")]
    users = {
        user: _prepare(chain, spans, crashes, verdict) for user, chain in history.commits.items()
    }
    for read in history.reads:
        _check_read(users[read.user], read, verdict, history)
    for lookup in history.lookups:
        _check_lookup(users[lookup.user], lookup, verdict, history)
    return verdict


def _lost_its_fence(attempt: Attempt, crashes: Sequence[Fault]) -> bool:
    """Whether the fence that there should be may have been gone when it was committed."""
    if attempt.fence_ns == 0:
        return False
    known = attempt.known or 0
    return (
        not attempt.fenced
        or known - attempt.intended > attempt.fence_ns
        or any(crash.begin < known and crash.end > attempt.intended for crash in crashes)
    )


def _prepare(
    chain: Sequence[Attempt], spans: Sequence[Span], crashes: Sequence[Fault], verdict: Verdict
) -> _User:
    reached = [within_reach(spans, attempt.known or 0, BOUND_NS) for attempt in chain]
    verdict.bounded += sum(
        since is not None and not attempt.sure
        for attempt, since in zip(chain, reached, strict=True)
    )
    points = {
        Level.ANSWERED: [
            (a.answered, a.number) for a in chain if a.sure and a.answered is not None
        ],
        Level.SEEN: [(a.known or 0, a.number) for a in chain if not _lost_its_fence(a, crashes)],
        Level.UNANSWERED: [(s + BOUND_NS, n) for n, s in enumerate(reached) if s is not None],
    }
    verdict.unfenced += len(chain) - len(points[Level.SEEN])
    return _User(
        chain,
        {level: _Floors(found) for level, found in points.items()},
        {level: _Floors(_that_move(chain, found)) for level, found in points.items()},
        _Floors((a.known or 0, a.number) for a in chain),
        reached,
    )


def _that_move(
    chain: Sequence[Attempt], points: Sequence[tuple[int, int]]
) -> Iterable[tuple[int, int]]:
    """Only those that change the address: the others leave the key of the one not theirs alone."""
    for moment, number in points:
        if number == 0 or chain[number].which != chain[number - 1].which:
            yield moment, number


def _check_read(user: _User, read: Read, verdict: Verdict, history: History) -> None:
    of_chain = user.chain[read.number] if 0 <= read.number < len(user.chain) else None
    if of_chain is None or of_chain.name != read.attempt or of_chain.sent > read.end:
        _report(verdict, Level.COMMITTED, history, read, f"saw {read.number} of {read.attempt}")
        return
    for level, floors in user.floors.items():
        floor = floors.at(read.begin)
        if read.number < floor:
            said = f"saw {read.number} of {read.attempt}, not {_name(user.chain[floor])}"
            _report(verdict, level, history, read, said)
    fine = read.number >= user.floors[Level.SEEN].at(read.begin)
    verdict.excused += fine and read.number < user.excusable.at(read.begin)
    if read.number + 1 < len(user.chain):
        follower = user.chain[read.number + 1]
        verdict.longest = max(verdict.longest, read.begin - (follower.known or 0))
        since = user.within_reach[read.number + 1]
        if since is not None:
            verdict.longest_within_reach = max(verdict.longest_within_reach, read.begin - since)


def _check_lookup(user: _User, lookup: Lookup, verdict: Verdict, history: History) -> None:
    # Some commit that is not older than the floor has to say the same of the address.
    for level, floors in user.of_addresses.items():
        floor = max(0, floors.at(lookup.begin))
        said_so = (
            (attempt.which == lookup.which) == lookup.found
            for attempt in user.chain[floor:]
            if attempt.sent < lookup.end
        )
        if not any(said_so):
            said = f"found {'it' if lookup.found else 'none'}, against {_name(user.chain[floor])}"
            _report(verdict, level, history, lookup, f"address {lookup.which}: {said}")


def _report(
    verdict: Verdict, level: Level, history: History, read: Read | Lookup, said: str
) -> None:
    verdict.violations[level] += 1
    if verdict.violations[level] <= _EXAMPLES:
        begin = (read.begin - history.began) / 1e9
        took = (read.end - read.begin) / 1e6
        verdict.examples.append(
            f"{level.value}: {read.process} at {begin:.3f} s, for {took:.1f} ms, user {read.user}:"
            f" {said}"
        )


def _name(attempt: Attempt) -> str:
    return f"{attempt.number} of {attempt.name}"
