"""What happened in a run, put together from the journals of its processes.

Times are nanoseconds of one clock. What was committed is not guessed: each attempt to write notes,
under the lock of the row, which commit it follows, so the chain of commits of a user can be gone
back from the row that SQL holds in the end.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .journal import lines_of

START = "start"  # the attempt that the rows begin with


@dataclass(slots=True)
class Attempt:
    """A write. It was committed, if it was, after `sent`, and before it was `known`."""

    name: str
    user: int
    number: int
    which: int  # of the user's two addresses
    before: str
    intended: int
    sent: int = 0
    fence_ns: int = 0  # 0: its writer puts up none
    fenced: bool = False
    lifted: bool = False
    strict: bool = False
    answered: int | None = None
    known: int | None = None

    @property
    def sure(self) -> bool:
        """Whether the answer promised that nothing old is left."""
        return self.answered is not None and (self.lifted or self.strict)


@dataclass(frozen=True, slots=True)
class Read:
    """A user who was read, with the number and the attempt that were seen."""

    process: str
    begin: int
    end: int
    user: int
    number: int
    attempt: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """An address that was looked up, and whether somebody had it."""

    process: str
    begin: int
    end: int
    user: int
    which: int
    found: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to the portal, as in redis-killed:forgets."""

    kind: str
    begin: int
    end: int


@dataclass
class Life:
    """Of a process: when it could sweep, as far as it knew itself."""

    ready: int | None = None
    ended: int | None = None
    # When something changed, and whether for the worse: Redis was lost, the process hung.
    breaker: list[tuple[int, bool]] = field(default_factory=list)
    stops: list[tuple[int, bool]] = field(default_factory=list)


@dataclass
class History:
    """All of it."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    commits: dict[int, list[Attempt]] = field(default_factory=dict)  # by user; [n] has number n
    reads: list[Read] = field(default_factory=list)
    lookups: list[Lookup] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lives: defaultdict[str, Life] = field(default_factory=lambda: defaultdict(Life))
    failed: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    began: int = 0
    ended: int = 0

    @property
    def answers(self) -> int:
        """How many writes were answered."""
        return sum(attempt.answered is not None for attempt in self.attempts.values())

    @property
    def operations(self) -> int:
        """Reads, by id or by address, and answered writes."""
        by_address = sum(lookup.found for lookup in self.lookups)  # these were read by id as well
        return len(self.reads) + len(self.lookups) - by_address + self.answers


def load(folder: Path) -> History:
    """Read the journals in `folder`."""
    history = History()
    seen: dict[str, int] = {}  # attempts, and when they were first seen in SQL
    last: dict[int, str] = {}
    fences: dict[str, int] = {}
    for process, (kind, *words) in lines_of(folder):
        if kind == "fences":
            fences[process] = round(float(words[0]) * 1e9)
        elif kind == "committed":
            seen[words[3]] = min(int(words[0]), seen.get(words[3], int(words[0])))
            if process == "final":
                last[int(words[1])] = words[3]
        else:
            _note(history, process, kind, words)
    for attempt in history.attempts.values():
        attempt.fence_ns = fences[attempt.name.partition("/")[0]]
    history.commits = {user: _chain(history, user, name) for user, name in last.items()}
    _date(history, seen)
    return history


def _note(history: History, process: str, kind: str, words: list[str]) -> None:
    match kind, words:
        case "read", [begin, end, user, number, name]:
            read = Read(process, int(begin), int(end), int(user), int(number), name)
            history.reads.append(read)
        case "lookup", [begin, end, user, which, found]:
            lookup = Lookup(process, int(begin), int(end), int(user), int(which), found == "1")
            history.lookups.append(lookup)
        case "failed", [_, what, error]:
            history.failed[f"{what}: {error}"] += 1
        case "broken", [_, *message]:
            history.broken.append(" ".join([process, *message]))
        case "fault", [name, begin, end]:
            history.faults.append(Fault(name, int(begin), int(end)))
        case "intend" | "fenced" | "commits" | "lifted" | "answered", [at, name, *details]:
            _note_write(history.attempts, kind, int(at), name, details)
        case _, [at, *name]:
            _note_life(history, name[0] if name else process, kind, int(at))


def _note_write(
    attempts: dict[str, Attempt], kind: str, at: int, name: str, details: list[str]
) -> None:
    match kind, details:
        case "intend", [user, number, which, before]:
            attempts[name] = Attempt(name, int(user), int(number), int(which), before, at)
        case "fenced", []:
            attempts[name].fenced = True
        case "commits", []:
            attempts[name].sent = at
        case "lifted", []:
            attempts[name].lifted = True
        case "answered", [strictly]:
            attempts[name].answered, attempts[name].strict = at, strictly == "1"


def _note_life(history: History, name: str, kind: str, at: int) -> None:
    life = history.lives[name]
    match kind:
        case "began":
            history.began = at
        case "ended":
            history.ended = at
        case "ready":
            life.ready = at
        case "done" | "killed":
            life.ended = life.ended or at  # it may have died before it was found dead
        case "lost" | "found":
            life.breaker.append((at, kind == "lost"))
        case "stopped" | "continued":
            life.stops.append((at, kind == "stopped"))


def _chain(history: History, user: int, last: str) -> list[Attempt]:
    """The commits of a user, from the one that SQL holds in the end back to the start."""
    chain = []
    name = last
    while name != START:
        attempt = history.attempts[name]
        chain.append(attempt)
        name = attempt.before
    chain.append(Attempt(START, user, 0, 0, "", 0, lifted=True, answered=0, known=0))
    chain.reverse()
    if [attempt.number for attempt in chain] != list(range(len(chain))):
        raise ValueError(f"user {user} was not numbered one by one")
    return chain


def _date(history: History, seen: dict[str, int]) -> None:
    """Find `known`: when somebody saw a commit, or wrote what follows it, or was told of it."""
    for read in history.reads:
        seen[read.attempt] = min(read.end, seen.get(read.attempt, read.end))
    for chain in history.commits.values():
        later: int | None = None
        for attempt in reversed(chain):
            moments = _present(seen.get(attempt.name), attempt.answered, later, attempt.known)
            attempt.known = min(moments, default=history.ended)
            later = attempt.intended  # it read what it follows from SQL; earlier than its `known`


def _present(*moments: int | None) -> Iterable[int]:
    return (moment for moment in moments if moment is not None)
