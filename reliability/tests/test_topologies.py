"""What is judged of faults, on journals as the clients leave them: everything planted is found."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reliability.__main__ import IN_DOCS
from reliability.topologies.history import load
from reliability.topologies.judge import Limit, Result, judge
from reliability.topologies.report import PAGE, markdown

Find = Callable[..., Result]

WINDOW = "window broken 0 10 20 40 7"  # seconds: quiet, fault, and what follows
LIMIT = Limit("register", "201", limit=2, seconds=5, processes=2)


def in_nanoseconds(line: str) -> str:
    """The line, whose times are in seconds."""
    kind, *words = line.split()
    if kind == "window":
        fault, *times, lag = words
        return " ".join([kind, fault, *(f"{float(t) * 1e9:.0f}" for t in times), lag])
    if kind in {"lost", "returned"}:
        return line
    begin, end, *rest = words
    return " ".join([kind, *(f"{float(t) * 1e9:.0f}" for t in (begin, end)), *rest])


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """The result of the fault in WINDOW, with such lines; `loses` is its `loses_seconds`."""

    def result(
        *lines: str,
        loses: float | None = None,
        users: set[str] = frozenset(),  # type: ignore[assignment]
        tasks: set[str] = frozenset(),  # type: ignore[assignment]
        numbers: dict[int, int] | None = None,
    ) -> Result:
        text = "".join(f"{in_nanoseconds(line)}\n" for line in (*lines, WINDOW))
        (tmp_path / "load.journal").write_text(text)
        history = load(tmp_path)
        history.users, history.tasks, history.numbers = users, tasks, numbers or {}
        (found,) = judge(history, [LIMIT], {"broken": loses})
        return found

    return result


def test_errors_and_times_are_those_of_the_fault(find: Find) -> None:
    result = find(
        "look 5 5.1 5 200 - owner",
        "look 11 11.5 5 503 - owner",
        "look 12 12.5 5 503 - owner",
        "look 13 13.5 5 200 - owner",
        "look 14 14.5 5 503 - owner",
        "look 15 16 5 200 - owner",
        "look 35 35.1 5 200 - owner",
    )

    assert (result.requests, result.errors) == (5, {"503": 3})
    assert (result.first_success, result.last_error) == (3.5, 4.5)
    assert result.p99 == 0.5
    assert result.violations == []
    assert result.lag == 7
    assert "| `broken` | 5 | 3 | 0.50 s | 3.5 s | 4.5 s |" in markdown([result])


def test_a_success_of_what_never_failed_is_not_the_first_one(find: Find) -> None:
    result = find(
        "look 11 11.5 5 503 - owner",
        "read 12 12.5 1 200 0 service",
        "look 13 13.5 5 200 - owner",
    )

    assert result.first_success == 3.5


@pytest.mark.parametrize("outcome", ["500", "502", "RemoteDisconnected", "TimeoutError"])
def test_an_error_that_is_no_503_is_found(find: Find, outcome: str) -> None:
    result = find(f"look 11 11.5 5 {outcome} - owner")

    assert result.violations == [f"1 responses with {outcome}"]


def test_an_error_at_the_end_is_found(find: Find) -> None:
    assert find("look 39 39.5 5 503 - owner").violations == ["requests still failed at the end"]


def test_an_error_before_the_fault_is_none_of_it(find: Find) -> None:
    result = find("look 5 5.1 5 503 - owner")

    assert (result.errors, result.last_error, result.violations) == ({}, None, [])


def test_a_planted_stale_read_is_found(find: Find) -> None:
    lines = ("write 11 12 1 200 1 owner", "write 13 14 1 200 2 owner")

    stale = find(*lines, "read 15 16 1 200 1 owner", numbers={1: 2})
    current = find(*lines, "read 15 16 1 200 2 owner", numbers={1: 2})

    assert (stale.stale, stale.violations) == (1, ["1 stale reads"])
    assert (current.stale, current.violations) == (0, [])


@pytest.mark.parametrize(
    "line",
    [
        "register 11 12 0 201 47 nobody",
        "book 11 12 5 202 47 owner",
        "write 11 12 1 200 47 owner",
    ],
)
def test_a_planted_lost_row_is_found(find: Find, line: str) -> None:
    lost = find(line, users={"46"}, tasks={"46"}, numbers={1: 46})
    kept = find(line, users={"47"}, tasks={"47"}, numbers={1: 47})

    assert (lost.lost_rows, len(lost.violations)) == (1, 1)
    assert (kept.lost_rows, kept.violations) == (0, [])


@pytest.mark.parametrize(("number", "excess"), [(2, 0), (3, 1), (8, 6)])
def test_requests_beyond_a_limit_are_counted(find: Find, number: int, excess: int) -> None:
    lines = [f"register {11 + n / 10} {11.05 + n / 10} 0 201 {n} nobody" for n in range(number)]

    result = find(*lines, users={str(n) for n in range(number)})

    assert (result.excess, result.violations) == (excess, [])


def test_more_beyond_a_limit_than_processes_admit_alone_are_found(find: Find) -> None:
    lines = [f"register {11 + n / 10} {11.05 + n / 10} 0 201 1 nobody" for n in range(9)]

    result = find(*lines, users={"1"})

    assert result.excess == 7
    assert result.violations == ["7 requests of register beyond the limit, over 6"]


def test_requests_that_may_be_in_two_windows_exceed_no_limit(find: Find) -> None:
    lines = ["register 11 12 0 201 1 nobody"] * 2 + ["register 15 16.5 0 201 1 nobody"] * 2

    result = find(*lines, users={"1"})

    assert result.excess == 0


def test_a_forgotten_session_is_found(find: Find) -> None:
    lines = ("login 8 8.5 9 200 a nobody", "login 9 9.5 9 200 b nobody", "lost a")

    within, beyond, never = (find(*lines, loses=seconds) for seconds in (2, 1, None))

    assert (within.lost_sessions, within.oldest_loss, within.violations) == (1, 1.5, [])
    assert beyond.violations == ["1 sessions were lost that must not be"]
    assert never.violations == beyond.violations


def test_a_logout_that_was_undone_is_found(find: Find) -> None:
    result = find("login 1 1.5 9 200 a nobody", "logout 8 8.5 0 204 a owner", "returned a", loses=2)

    assert (result.undone_logouts, result.violations) == (1, ["1 logouts were undone"])


def test_sessions_are_alive_unless_somebody_tried_to_end_them(tmp_path: Path) -> None:
    (tmp_path / "load.journal").write_text(
        "login 1 2 9 200 kept nobody\nlogin 1 2 9 200 ended nobody\nlogin 1 2 9 200 maybe nobody\n"
        "login 1 2 9 503 - nobody\nleaving ended\nlogout 3 4 0 204 ended owner\nleaving maybe\n"
    )

    history = load(tmp_path)

    assert history.live_sessions(since=0) == {"kept"}
    assert history.live_sessions(since=3) == set()
    assert history.ended_sessions(since=0) == {"ended"}


def test_every_table_of_the_documentation_has_figures() -> None:
    page = PAGE.read_text("utf-8")

    tables = re.findall(r"<!-- figures: ([\w-]+) -->\n(.*?)<!-- end: \1 -->", page, re.DOTALL)

    assert {name for name, _ in tables} == set(IN_DOCS)
    assert all(len(table.splitlines()) > 2 for _, table in tables)
