"""The checker of the cache's guarantee, on journals as a run leaves them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reliability.cache.checker import BOUND_NS, Promise, check
from reliability.cache.history import load
from reliability.cache.report import report

SECOND = 10**9
Journals = Callable[..., set[Promise]]


@pytest.fixture
def find(tmp_path: Path) -> Journals:
    """The broken promises, for journals given as name="a line; another"; times are seconds."""

    def violated(**journals: str) -> set[Promise]:
        for path in tmp_path.iterdir():
            path.unlink()
        for name, lines in {"main": "began 0; ended 100", **journals}.items():
            text = "".join(f"{_in_nanoseconds(line)}\n" for line in lines.split("; "))
            (tmp_path / f"{name}.journal").write_text(text)
        history = load(tmp_path)
        verdict = check(history)
        report(history, verdict)
        return set(verdict.violations)

    return violated


def _in_nanoseconds(line: str) -> str:
    kind, *words = line.split()
    moments = {"read": 2, "lookup": 2, "fault": 3, "fences": 0}.get(kind, 1)
    first = 1 if kind == "fault" else 0
    for number in range(first, moments):
        words[number] = str(round(float(words[number]) * SECOND))
    return " ".join([kind, *words])


BEGAN = "fences 30; writes 10 w/1 7 1 1 start"
CRASHED = f"{BEGAN}; fenced 10.1 w/1; commits 10.15 w/1"
WRITTEN = f"{CRASHED}; unfenced 10.3 w/1; answered 10.4 w/1"
UNACKNOWLEDGED = f"{BEGAN}; commits 10.15 w/1; answered 10.4 w/1"
LAST = "committed 99 7 1 w/1"
SEEN = "committed 10.2 7 1 w/1"


def test_a_read_after_an_answer_returns_at_least_that_write(find: Journals) -> None:
    fine = "read 10.3 12 7 0 start; read 10.5 10.6 7 1 w/1"
    old = "read 10.5 10.6 7 0 start"

    assert find(w=WRITTEN, final=LAST, r=fine) == set()
    assert find(w=WRITTEN, final=LAST, r=old) == {Promise.ANSWERED, Promise.SEEN}


def test_a_read_never_returns_an_uncommitted_write(find: Journals) -> None:
    rolled_back = "fences 30; writes 9 v/1 7 1 0 start"

    assert find(w=WRITTEN, v=rolled_back, final=LAST, r="read 9 11 7 1 v/1") == {Promise.COMMITTED}
    assert find(w=WRITTEN, final=LAST, r="read 8 10.14 7 1 w/1") == {Promise.COMMITTED}
    assert find(w=WRITTEN, final=LAST, r="read 8 10.16 7 1 w/1") == set()


def test_a_read_returns_nothing_older_than_an_earlier_read(find: Journals) -> None:
    old = "read 10.25 10.26 7 0 start"

    assert find(w=CRASHED, watcher=SEEN, final=LAST, r=old) == {Promise.SEEN}
    assert find(w=CRASHED, final=LAST, r=f"read 10 10.2 7 1 w/1; {old}") == {Promise.SEEN}
    assert find(w=CRASHED, final=LAST, r="read 10 10.26 7 1 w/1; read 10.25 11 7 0 start") == set()


@pytest.mark.parametrize(
    ("written", "main"),
    [
        (UNACKNOWLEDGED, "began 0; ended 100"),
        (CRASHED.replace("fences 30", "fences 0.1"), "began 0; ended 100"),
        (CRASHED, "began 0; ended 100; fault redis-killed:loses-writes 10.15 10.18"),
    ],
    ids=["none", "expired", "lost in a crash"],
)
def test_a_lost_fence_excuses_a_stale_read(find: Journals, written: str, main: str) -> None:
    old = "read 10.25 10.26 7 0 start"

    assert find(w=written, main=main, watcher=SEEN, final=LAST, r=old) == set()


def test_a_write_that_redis_did_not_acknowledge_is_answered_when_nobody_reads_the_old_one(
    find: Journals,
) -> None:
    within, after = (f"read {at} 20 7 0 start" for at in (10.39, 10.41))

    assert find(w=UNACKNOWLEDGED, final=LAST, r=within) == set()
    assert find(w=UNACKNOWLEDGED, final=LAST, r=after) == {Promise.ANSWERED}


def test_without_an_answer_nothing_older_is_read_so_long_after_the_commit(find: Journals) -> None:
    within, after = (f"read {10.2 + BOUND_NS / SECOND + d} 20 7 0 start" for d in (-0.1, 0.1))
    died = f"{BEGAN}; commits 10.15 w/1"

    assert find(w=died, watcher=SEEN, final=LAST, r=within) == set()
    assert find(w=died, watcher=SEEN, final=LAST, r=after) == {Promise.COMMITTED_LONG_AGO}


def test_a_lookup_after_an_answer_finds_the_new_address(find: Journals) -> None:
    new, old = ("lookup 10.5 10.6 7 {} {}".format(*each) for each in (("1", "1"), ("0", "1")))

    assert find(w=WRITTEN, final=LAST, r=new) == set()
    assert find(w=WRITTEN, final=LAST, r=old) == {Promise.ANSWERED, Promise.SEEN}
    assert find(w=WRITTEN, final=LAST, r=old.replace("10.5", "10")) == set()


def test_a_finding_of_the_monitor_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "r.journal").write_text("audit 5 same user\naudit 7 stale user\n")

    history = load(tmp_path)

    assert history.audits == {"same": 1, "stale": 1}
    assert history.errors == ["r the monitor called a user stale at 0.000 s"]


def test_a_commit_promises_nothing_about_an_unchanged_address(find: Journals) -> None:
    first = "fences 30; writes 9 v/1 7 1 1 start; commits 9.1 v/1"
    second = WRITTEN.replace("7 1 1 start", "7 2 1 v/1")
    last = "committed 99 7 2 w/1"

    assert find(v=first, w=second, final=last, r="lookup 10.5 10.6 7 0 1") == set()
    assert find(v=first, w=second, final=last, r="lookup 20 20.6 7 0 1") == {
        Promise.COMMITTED_LONG_AGO
    }
