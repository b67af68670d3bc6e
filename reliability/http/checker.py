"""No read that began after a write was answered returns an older number.

A read counts from before its request, an answer from after its response. So a read that is found to
be stale was stale, for at least the time that is reported.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from ..floors import Floors
from ..journal import Fault, read_lines

# The server may still run a request whose client has waited for too long, after later ones.
_UNKNOWN = "TimeoutError"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and its status or the error of the connection. Times are nanoseconds.

    `number` is what was written or read; `by` is whose read it is; `instance` is that of the
    service.
    """

    begin: int
    end: int
    user: int
    outcome: str
    number: int
    by: str = ""
    instance: str = ""


@dataclass
class History:
    """What the clients of a run observed."""

    reads: list[Request] = field(default_factory=list)
    writes: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def requests(self) -> list[Request]:
        """All requests."""
        return self.reads + self.writes


@dataclass
class Verdict:
    """The result. Times are nanoseconds."""

    stale: list[tuple[Request, int]] = field(default_factory=list)  # and since when
    excused: int = 0  # reads of a number whose write was never answered
    crossed: int = 0  # reads at another instance than that of the last answered write

    @property
    def longest(self) -> int:
        """How long after the answer the last stale read began."""
        return max((read.begin - since for read, since in self.stale), default=0)


def load(folder: Path) -> History:
    """Read the journals in `folder`."""
    history = History()
    for _, (kind, *words) in read_lines(folder):
        if kind == "fault":
            history.faults.append(Fault(words[0], int(words[1]), int(words[2])))
        elif kind in {"read", "write"}:
            begin, end, user, outcome, number, *others = words
            request = Request(int(begin), int(end), int(user), outcome, int(number), *others)
            (history.reads if kind == "read" else history.writes).append(request)
    history.faults.sort(key=lambda fault: fault.begin)
    return history


def check(history: History) -> Verdict:
    """Check every read."""
    verdict = Verdict()
    answered: defaultdict[int, list[Request]] = defaultdict(list)
    for write in history.writes:
        if write.outcome == "200":
            answered[write.user].append(write)
    unknown = {(write.user, write.number) for write in history.writes if write.outcome == _UNKNOWN}
    floors = {user: Floors((w.end, w.number) for w in found) for user, found in answered.items()}
    written_at = {(w.user, w.number): w.instance for w in history.writes}
    for read in history.reads:
        if read.outcome != "200" or read.user not in floors:
            continue
        floor = floors[read.user].at(read.begin)
        verdict.crossed += read.instance != written_at.get((read.user, floor), read.instance)
        if read.number >= floor:
            continue
        if (read.user, read.number) in unknown:
            verdict.excused += 1
            continue
        newer = (write.end for write in answered[read.user] if write.number > read.number)
        verdict.stale.append((read, min(newer)))
    return verdict


def at(faults: list[Fault], moment: int) -> str:
    """The fault that goes on at a moment, or the last one before it."""
    before = [fault for fault in faults if fault.begin <= moment]
    long = [fault for fault in before if not fault.kind.startswith("worker")]
    if not long:
        return "before the first fault"
    last = long[-1]
    return f"{'during' if moment <= last.end else 'after'} {last.kind}"


def recoveries(history: History) -> list[int]:
    """For each failover the time from its end to the last failure before the next fault."""
    failed = sorted(request.end for request in history.requests if request.outcome != "200")
    begins = [fault.begin for fault in history.faults if not fault.kind.startswith("worker")]
    found = []
    for fault in history.faults:
        if not fault.kind.startswith("failover"):
            continue
        following = bisect_left(begins, fault.end)
        until = begins[following] if following < len(begins) else fault.end + 10**10
        last = bisect_left(failed, until) - 1
        found.append(max(0, failed[last] - fault.end) if last >= 0 else 0)
    return found


def outcomes(requests: list[Request]) -> Counter[str]:
    """How the requests ended, by who sent them."""
    return Counter(f"{request.by or 'write':<8} {request.outcome}" for request in requests)
