"""What the clients of a run observed, and what was found at the end of each fault."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..journal import read_lines

KINDS = ("read", "write", "book", "look", "login", "logout", "register")


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and its status or the error of the connection. Times are nanoseconds.

    `value` is the number that was written or read, the session, or the row that was created.
    """

    kind: str
    begin: int
    end: int
    user: int
    outcome: str
    value: str
    by: str

    @property
    def is_answered(self) -> bool:
        """Whether the server answered: any status below 500, also a refusal by a limit."""
        return self.outcome.isdigit() and int(self.outcome) < 500


@dataclass(frozen=True, slots=True)
class Window:
    """A quiet time from `opened`, the fault from `begin` to `end`, and what follows to `closed`.

    `lag` is what the replica that was most in step had not acknowledged at `begin`, in bytes.
    """

    fault: str
    opened: int
    begin: int
    end: int
    closed: int
    lag: int | None = None


@dataclass
class History:
    """All of a run. Sessions and rows are those that were found missing, or back, afterwards."""

    requests: list[Request] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    leaving: set[str] = field(default_factory=set)  # sessions that are being ended
    lost_sessions: set[str] = field(default_factory=set)
    returned_sessions: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)  # the ids in SQL
    tasks: set[str] = field(default_factory=set)
    numbers: dict[int, int] = field(default_factory=dict)  # of owners, in SQL

    def of(self, *kinds: str) -> list[Request]:
        """The requests of these kinds."""
        return [request for request in self.requests if request.kind in kinds]

    def live_sessions(self, since: int) -> set[str]:
        """Those whose login was answered since then, and that nobody tried to end."""
        logins = (r for r in self.of("login") if r.outcome == "200" and r.end >= since)
        return {r.value for r in logins} - self.leaving

    def ended_sessions(self, since: int) -> set[str]:
        """Those whose logout was answered since then."""
        return {r.value for r in self.of("logout") if r.outcome == "204" and r.end >= since}


def load(folder: Path) -> History:
    """Read the journals in `folder`."""
    history = History()
    for _, (kind, *words) in read_lines(folder):
        if kind in KINDS:
            begin, end, user, outcome, value, by = words
            history.requests.append(
                Request(kind, int(begin), int(end), int(user), outcome, value, by)
            )
        elif kind == "leaving":
            history.leaving.add(words[0])
        elif kind == "lost":
            history.lost_sessions.add(words[0])
        elif kind == "returned":
            history.returned_sessions.add(words[0])
        elif kind == "window":
            history.windows.append(_window(words))
    history.requests.sort(key=lambda request: request.begin)
    return history


def _window(words: Sequence[str]) -> Window:
    fault, *times, lag = words
    opened, begin, end, closed = map(int, times)
    return Window(fault, opened, begin, end, closed, None if lag == "-" else int(lag))
