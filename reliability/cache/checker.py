"""The guarantee of the cache, checked read by read, without false alarms.

A read counts from before its call, an answer from after its return, a commit from when it was first
observed. So a read that is found to be stale was stale, for at least that long.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ..floors import Floors
from ..journal import Fault
from .history import Attempt, History, Lookup, Read

# No process still has trust in Redis that is older than a commit, so long after it.
BOUND_NS = 2_000_000_000
_MAX_EXAMPLES = 5


class Promise(Enum):
    """What the guarantee promises."""

    COMMITTED = "only committed values"
    ANSWERED = "nothing older than what was answered"
    SEEN = "nothing older than what was seen"
    COMMITTED_LONG_AGO = f"nothing older than {BOUND_NS / 1e9:.1f} s after a COMMIT"


@dataclass
class Verdict:
    """The result. Times are nanoseconds."""

    violations: Counter[Promise] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    excused: int = 0  # reads older than what was seen, after a fence was lost
    longest: int = 0  # time after a commit at which an older value was read
    fence_lost: int = 0  # commits whose fence was lost, or may have been


@dataclass
class _User:
    chain: Sequence[Attempt]
    floors: dict[Promise, Floors]
    address_floors: dict[Promise, Floors]
    excusable: Floors


def check(history: History) -> Verdict:
    """Check every read."""
    verdict = Verdict()
    crashes = [fault for fault in history.faults if fault.kind.startswith("redis-killed")]
    users = {user: _prepare(chain, crashes, verdict) for user, chain in history.commits.items()}
    for read in history.reads:
        _check_read(users[read.user], read, verdict, history)
    for lookup in history.lookups:
        _check_lookup(users[lookup.user], lookup, verdict, history)
    return verdict


def _lost_its_fence(attempt: Attempt, crashes: Sequence[Fault]) -> bool:
    """Whether its fence may have been gone at its COMMIT."""
    if attempt.fence_ns == 0:
        return False
    observed = attempt.observed or 0
    return (
        not attempt.fenced
        or observed - attempt.begun > attempt.fence_ns
        or any(crash.begin < observed and crash.end > attempt.begun for crash in crashes)
    )


def _prepare(chain: Sequence[Attempt], crashes: Sequence[Fault], verdict: Verdict) -> _User:
    points = {
        Promise.ANSWERED: [(a.answered, a.number) for a in chain if a.answered is not None],
        Promise.SEEN: [
            (a.observed or 0, a.number) for a in chain if not _lost_its_fence(a, crashes)
        ],
        Promise.COMMITTED_LONG_AGO: [((a.observed or 0) + BOUND_NS, a.number) for a in chain],
    }
    verdict.fence_lost += len(chain) - len(points[Promise.SEEN])
    return _User(
        chain,
        {promise: Floors(found) for promise, found in points.items()},
        {promise: Floors(_changes_of_address(chain, found)) for promise, found in points.items()},
        Floors((a.observed or 0, a.number) for a in chain),
    )


def _changes_of_address(
    chain: Sequence[Attempt], points: Sequence[tuple[int, int]]
) -> Iterable[tuple[int, int]]:
    """Only the commits that change the address: the others do not invalidate the other one."""
    for moment, number in points:
        if number == 0 or chain[number].address != chain[number - 1].address:
            yield moment, number


def _check_read(user: _User, read: Read, verdict: Verdict, history: History) -> None:
    written = user.chain[read.number] if 0 <= read.number < len(user.chain) else None
    if written is None or written.name != read.attempt or written.sent > read.end:
        _report(verdict, Promise.COMMITTED, history, read, f"read {read.number} of {read.attempt}")
        return
    for promise, floors in user.floors.items():
        floor = floors.at(read.begin)
        if read.number < floor:
            found = f"read {read.number} of {read.attempt}, not {_name(user.chain[floor])}"
            _report(verdict, promise, history, read, found)
    fine = read.number >= user.floors[Promise.SEEN].at(read.begin)
    verdict.excused += fine and read.number < user.excusable.at(read.begin)
    if read.number + 1 < len(user.chain):
        follower = user.chain[read.number + 1]
        verdict.longest = max(verdict.longest, read.begin - (follower.observed or 0))


def _check_lookup(user: _User, lookup: Lookup, verdict: Verdict, history: History) -> None:
    # A commit that is not older than the floor has to agree on whose the address is.
    for promise, floors in user.address_floors.items():
        floor = max(0, floors.at(lookup.begin))
        agrees = (
            (attempt.address == lookup.address) == lookup.found
            for attempt in user.chain[floor:]
            if attempt.sent < lookup.end
        )
        if not any(agrees):
            found = (
                f"{'found' if lookup.found else 'not found'}, against {_name(user.chain[floor])}"
            )
            _report(verdict, promise, history, lookup, f"address {lookup.address} {found}")


def _report(
    verdict: Verdict, promise: Promise, history: History, read: Read | Lookup, text: str
) -> None:
    verdict.violations[promise] += 1
    if verdict.violations[promise] <= _MAX_EXAMPLES:
        begin = (read.begin - history.began) / 1e9
        took = (read.end - read.begin) / 1e6
        verdict.examples.append(
            f"{promise.value}: {read.process} at {begin:.3f} s, took {took:.1f} ms,"
            f" user {read.user}: {text}"
        )


def _name(attempt: Attempt) -> str:
    return f"{attempt.number} of {attempt.name}"
