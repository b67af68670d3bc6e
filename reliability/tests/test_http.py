"""The checker of an HTTP run, on journals as its clients leave them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reliability.http.checker import Verdict, at, check, load, outcomes, recoveries
from reliability.http.report import report

Find = Callable[[str], Verdict]

SECOND = 10**9
WRITTEN = "write 10 20 7 200 1; write 30 40 7 200 2"


def write(folder: Path, lines: str) -> None:
    (folder / "clients.journal").write_text("".join(f"{line}\n" for line in lines.split("; ")))


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """The verdict on such lines."""

    def verdict(lines: str) -> Verdict:
        write(tmp_path, lines)
        history = load(tmp_path)
        found = check(history)
        report("together", history, found)
        return found

    return verdict


def test_a_read_that_began_after_an_answer_returns_at_least_that_number(find: Find) -> None:
    verdict = find(f"{WRITTEN}; read 45 46 7 200 1 owner; read 47 48 7 200 0 admin")

    assert [(read.number, since) for read, since in verdict.stale] == [(1, 40), (0, 20)]
    assert verdict.longest == 27


@pytest.mark.parametrize(
    "read",
    [
        "read 39 50 7 200 1 owner",  # it began before the answer
        "read 45 46 7 200 2 owner",
        "read 45 46 7 200 3 owner",  # committed, and not answered yet
        "read 45 46 8 200 0 owner",  # another user
        "read 45 46 7 503 -1 owner",
    ],
)
def test_no_other_read_is_stale(find: Find, read: str) -> None:
    assert not find(f"{WRITTEN}; {read}").stale


@pytest.mark.parametrize("outcome", ["503", "500", "RemoteDisconnected", "TimeoutError"])
def test_a_write_that_failed_promises_nothing(find: Find, outcome: str) -> None:
    verdict = find(f"write 10 20 7 200 1; write 30 40 7 {outcome} 2; read 50 51 7 200 1 owner")

    assert not verdict.stale


def test_reads_at_another_instance_than_the_last_answered_write_are_counted(find: Find) -> None:
    written = "write 10 20 7 200 1 write 0; write 30 40 7 200 2 write 1"

    verdict = find(
        f"{written}; read 25 26 7 200 1 owner 1; read 45 46 7 200 2 owner 0"
        "; read 47 48 7 200 2 owner 1; read 49 50 7 503 -1 owner 0; read 1 2 7 200 0 owner 1"
    )

    assert verdict.crossed == 2


def test_a_write_that_nobody_waited_for_may_take_effect_late(find: Find) -> None:
    late = "write 10 20 7 TimeoutError 1; write 30 40 7 200 2; read 50 51 7 200 1 owner"

    verdict = find(late)

    assert not verdict.stale
    assert verdict.excused == 1
    assert find(late.replace("TimeoutError", "RemoteDisconnected")).stale


def test_the_time_to_recover_is_that_of_the_last_failure_before_the_next_fault(
    tmp_path: Path,
) -> None:
    write(
        tmp_path,
        "fault failover:killed 10 20; fault worker-killed:after-commit 25 25"
        "; fault redis-hangs 40 50; read 15 16 7 503 -1 owner; read 27 28 7 503 -1 owner"
        "; read 29 30 7 200 0 owner; read 45 46 7 503 -1 owner; fault failover:demoted 60 70",
    )

    history = load(tmp_path)

    assert recoveries(history) == [8, 0]
    assert at(history.faults, 45) == "during redis-hangs"
    assert at(history.faults, 55) == "after redis-hangs"
    assert outcomes(history.requests) == {"owner    503": 3, "owner    200": 1}
