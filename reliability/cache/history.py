"""What happened in a run, reconstructed from the journals of its processes.

Times are nanoseconds of one clock. The commits are not guessed: each write records, under the lock
of the row, which commit it follows. So the chain of a user's commits can be followed back from the
row that SQL holds at the end.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ..journal import Fault, read_lines

START = "start"  # the write that the rows begin with


@dataclass(slots=True)
class Attempt:
    """A write. If it was committed, then after `sent`, and before it was `observed`."""

    name: str
    user: int
    number: int
    address: int  # which of the user's two
    previous: str  # the write that it follows
    begun: int
    sent: int = 0
    fence_ns: int = 0  # 0 if its writer sets none
    fenced: bool = False
    unfenced: bool = False
    answered: int | None = None
    observed: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A read of a user, and the number and name of the write that it returned."""

    process: str
    begin: int
    end: int
    user: int
    number: int
    attempt: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """A lookup of an address, and whether it found a user."""

    process: str
    begin: int
    end: int
    user: int
    address: int
    found: bool


@dataclass
class History:
    """Everything that happened in a run."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    commits: dict[int, list[Attempt]] = field(default_factory=dict)  # by user, then number
    reads: list[Read] = field(default_factory=list)
    lookups: list[Lookup] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    audits: Counter[str] = field(default_factory=Counter)  # by outcome
    failed: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    began: int = 0
    ended: int = 0

    @property
    def answers(self) -> int:
        """The number of answered writes."""
        return sum(attempt.answered is not None for attempt in self.attempts.values())

    @property
    def operations(self) -> int:
        """The number of reads, by id or by address, and of answered writes."""
        return self.reads_by_id + len(self.lookups) + self.answers

    @property
    def reads_by_id(self) -> int:
        """The number of reads that no lookup of an address led to."""
        return len(self.reads) - sum(lookup.found for lookup in self.lookups)


def load(folder: Path) -> History:
    """Read the journals in `folder`."""
    history = History()
    seen: dict[str, int] = {}  # when each write was first observed in SQL
    last: dict[int, str] = {}
    fences: dict[str, int] = {}
    for process, (kind, *words) in read_lines(folder):
        if kind == "fences":
            fences[process] = round(float(words[0]) * 1e9)
        elif kind == "committed":
            seen[words[3]] = min(int(words[0]), seen.get(words[3], int(words[0])))
            if process == "final":
                last[int(words[1])] = words[3]
        elif kind == "audit":
            _note_audit(history, process, *words)
        else:
            _note(history, process, kind, words)
    for attempt in history.attempts.values():
        attempt.fence_ns = fences[attempt.name.partition("/")[0]]
    history.commits = {user: _chain(history, user, name) for user, name in last.items()}
    _set_observed(history, seen)
    return history


def _note(history: History, process: str, kind: str, words: list[str]) -> None:
    match kind, words:
        case "read", [begin, end, user, number, name]:
            read = Read(process, int(begin), int(end), int(user), int(number), name)
            history.reads.append(read)
        case "lookup", [begin, end, user, address, found]:
            lookup = Lookup(process, int(begin), int(end), int(user), int(address), found == "1")
            history.lookups.append(lookup)
        case "failed", [_, what, error]:
            history.failed[f"{what}: {error}"] += 1
        case "error", [_, *message]:
            history.errors.append(" ".join([process, *message]))
        case "fault", [name, begin, end]:
            history.faults.append(Fault(name, int(begin), int(end)))
        case "writes" | "fenced" | "commits" | "unfenced" | "answered", [at, name, *details]:
            _note_write(history.attempts, kind, int(at), name, details)
        case "began", [at]:
            history.began = int(at)
        case "ended", [at]:
            history.ended = int(at)


def _note_audit(history: History, process: str, at: str, outcome: str, cache: str) -> None:
    """Count it. Under the protocol no value is stale for so long: such a finding is an error."""
    history.audits[outcome] += 1
    if outcome == "stale":
        seconds = (int(at) - history.began) / 1e9
        history.errors.append(f"{process} the monitor called a {cache} stale at {seconds:.3f} s")


def _note_write(
    attempts: dict[str, Attempt], kind: str, at: int, name: str, details: list[str]
) -> None:
    match kind, details:
        case "writes", [user, number, address, previous]:
            attempts[name] = Attempt(name, int(user), int(number), int(address), previous, at)
        case "fenced", []:
            attempts[name].fenced = True
        case "commits", []:
            attempts[name].sent = at
        case "unfenced", []:
            attempts[name].unfenced = True
        case "answered", []:
            attempts[name].answered = at


def _chain(history: History, user: int, last: str) -> list[Attempt]:
    """The commits of a user, followed back from the one that SQL holds at the end."""
    chain = []
    name = last
    while name != START:
        attempt = history.attempts[name]
        chain.append(attempt)
        name = attempt.previous
    chain.append(Attempt(START, user, 0, 0, "", 0, unfenced=True, answered=0, observed=0))
    chain.reverse()
    if [attempt.number for attempt in chain] != list(range(len(chain))):
        raise ValueError(f"the commits of user {user} are not numbered consecutively")
    return chain


def _set_observed(history: History, seen: dict[str, int]) -> None:
    """Set `observed`: when a commit was first read, answered, or followed by the next write."""
    for read in history.reads:
        seen[read.attempt] = min(read.end, seen.get(read.attempt, read.end))
    for chain in history.commits.values():
        later: int | None = None
        for attempt in reversed(chain):
            moments = (seen.get(attempt.name), attempt.answered, later, attempt.observed)
            known = (moment for moment in moments if moment is not None)
            attempt.observed = min(known, default=history.ended)
            later = attempt.begun  # it had read its predecessor from SQL
