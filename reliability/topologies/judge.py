"""What a fault did to the requests, and which promises it broke."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..http import checker
from .history import History, Request, Window

SECOND = 10**9

_AT_LEAST = 5 * SECOND  # a fault that is over at once has effects for a while
_STILL_FAILING = 2 * SECOND  # before the end of a window, which waits for errors to end


@dataclass(frozen=True)
class Limit:
    """`limit` requests of a kind in `seconds`, which `processes` count alone without Redis."""

    kind: str
    status: str
    limit: int
    seconds: float
    processes: int = 2

    @property
    def bound(self) -> int:
        """How many may be admitted beyond the limit in one window.

        As many as each process admits while Redis is away, and once more as many as Redis had
        counted, if a replica that had not received them takes over.
        """
        return self.limit * (self.processes + 1)


@dataclass
class Result:
    """A row of the table. Times are seconds; None where nothing failed."""

    fault: str
    lag: int | None
    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)  # by kind and error
    p99: float = 0.0
    first_success: float | None = None  # since the fault began
    last_error: float | None = None
    stale: int = 0
    excess: int = 0  # requests admitted beyond a limit, within any one of its windows
    lost_rows: int = 0
    lost_sessions: int = 0
    oldest_loss: float | None = None  # seconds from its login until the fault
    undone_logouts: int = 0
    violations: list[str] = field(default_factory=list)


def judge(
    history: History, limits: Sequence[Limit], losses: Mapping[str, float | None]
) -> list[Result]:
    """A result for each window. `losses` are the `loses_seconds` of the faults."""
    results = []
    for window in history.windows:
        result = _measure(history, window)
        result.stale = len(_stale(history, window))
        result.lost_rows = _lost_rows(history, window)
        _judge_limits(result, history, window, limits)
        _judge_sessions(result, history, window, losses[window.fault])
        result.violations += _violations(result, window)
        results.append(result)
    return results


def _within(requests: Iterable[Request], window: Window) -> list[Request]:
    return [each for each in requests if window.opened <= each.begin < window.closed]


def _measure(history: History, window: Window) -> Result:
    """Requests, errors, and times, from the beginning of the fault until it and its errors end."""
    requests = _within(history.requests, window)
    result = Result(window.fault, window.lag)
    failed = [r for r in requests if not r.is_answered and r.end >= window.begin]
    until = max([window.end, window.begin + _AT_LEAST, *(each.end for each in failed)])
    during = [each for each in requests if each.end >= window.begin and each.begin <= until]
    result.requests = len(during)
    result.errors = Counter(each.outcome for each in failed)
    result.p99 = _percentile([each.end - each.begin for each in during], 0.99) / SECOND
    if failed:
        result.failed = Counter(f"{each.kind} by {each.by} {each.outcome}" for each in failed)
        result.last_error = (max(each.end for each in failed) - window.begin) / SECOND
        result.first_success = _first_success(requests, failed, window)
    return result


def _first_success(
    requests: Sequence[Request], failed: Sequence[Request], window: Window
) -> float | None:
    """When a request of a kind that fails first succeeded, after the first failure of any kind."""
    kinds = {(each.kind, each.by) for each in failed}
    since = min(each.end for each in failed)
    ends = [
        each.end
        for each in requests
        if each.is_answered and (each.kind, each.by) in kinds and each.begin >= since
    ]
    return (min(ends) - window.begin) / SECOND if ends else None


def _percentile(values: Sequence[int], share: float) -> int:
    return sorted(values)[int(share * (len(values) - 1))] if values else 0


def _stale(history: History, window: Window) -> list[checker.Request]:
    def of(kind: str) -> list[checker.Request]:
        return [
            checker.Request(r.begin, r.end, r.user, r.outcome, int(r.value), r.by)
            for r in history.of(kind)
        ]

    verdict = checker.check(checker.History(of("read"), of("write")))
    return [read for read, _ in verdict.stale if window.opened <= read.begin < window.closed]


def _lost_rows(history: History, window: Window) -> int:
    """Rows that were acknowledged and are not in SQL: users, tasks, changes of users."""
    lost = 0
    for each in _within(history.requests, window):
        match each.kind, each.outcome:
            case "register", "201":
                lost += each.value not in history.users
            case "book", "202":
                lost += each.value not in history.tasks
            case "write", "200":
                lost += history.numbers.get(each.user, -1) < int(each.value)
    return lost


def _judge_limits(
    result: Result, history: History, window: Window, limits: Sequence[Limit]
) -> None:
    for limit in limits:
        for admitted in _by_user(history.of(limit.kind), limit.status):
            beyond = _beyond(admitted, window, limit)
            result.excess = max(result.excess, beyond)
            if beyond > limit.bound:
                result.violations.append(
                    f"{beyond} requests of {limit.kind} beyond the limit, over {limit.bound}"
                )


def _by_user(requests: Iterable[Request], status: str) -> list[list[Request]]:
    found: dict[int, list[Request]] = {}
    for each in requests:
        if each.outcome == status:
            found.setdefault(each.user, []).append(each)
    return list(found.values())


def _beyond(admitted: Sequence[Request], window: Window, limit: Limit) -> int:
    """The most that were admitted beyond the limit in any `seconds` that end in the window.

    The server counted each at some time between its begin and its end. So only those count that
    lie within the time as a whole: what is found did exceed the limit.
    """
    by_end = sorted(admitted, key=lambda each: each.end)
    ends = [each.end for each in by_end]
    most = 0
    for first in by_end:
        until = first.begin + int(limit.seconds * SECOND)
        if not window.opened <= until < window.closed + int(limit.seconds * SECOND):
            continue
        candidates = by_end[bisect_left(ends, first.begin) : bisect_right(ends, until)]
        within = [each for each in candidates if each.begin >= first.begin]
        if within and window.opened <= within[-1].end < window.closed:
            most = max(most, len(within) - limit.limit)
    return most


def _judge_sessions(
    result: Result, history: History, window: Window, loses_seconds: float | None
) -> None:
    """The logins of this window that Redis has forgotten, and the logouts that did not stay."""
    lost = [r for r in _within(history.of("login"), window) if r.value in history.lost_sessions]
    logouts = _within(history.of("logout"), window)
    result.lost_sessions = len(lost)
    result.undone_logouts = sum(r.value in history.returned_sessions for r in logouts)
    ages = [(window.begin - each.end) / SECOND for each in lost]
    result.oldest_loss = max(ages, default=None)
    bound = loses_seconds if loses_seconds is not None else float("-inf")
    too_old = sum(age > bound for age in ages)
    if too_old:
        result.violations.append(f"{too_old} sessions were lost that must not be")
    if result.undone_logouts:
        result.violations.append(f"{result.undone_logouts} logouts were undone")


def _violations(result: Result, window: Window) -> list[str]:
    found = [
        f"{number} responses with {outcome}"
        for outcome, number in result.errors.items()
        if outcome != "503"
    ]
    if result.stale:
        found.append(f"{result.stale} stale reads")
    if result.lost_rows:
        found.append(f"{result.lost_rows} rows that were acknowledged are not in SQL")
    last = result.last_error
    if last is not None and window.begin + last * SECOND > window.closed - _STILL_FAILING:
        found.append("requests still failed at the end")
    return found
