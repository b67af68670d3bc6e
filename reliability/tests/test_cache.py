"""`make stress` in short, and whether its checker can tell: on journals as a run leaves them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stress.check import BOUND_NS, Level, check
from stress.history import load
from stress.report import report

ROOT = Path(__file__).parent.parent.parent
SECOND = 10**9
Journals = Callable[..., set[Level]]


@pytest.fixture
def levels(tmp_path: Path) -> Journals:
    """What is violated, by journals given as name="a line; another"; times are seconds."""

    def violated(**journals: str) -> set[Level]:
        for path in tmp_path.iterdir():
            path.unlink()
        started = "ready 0; done 100"
        for name, lines in {"main": "began 0; ended 100", "other": started, **journals}.items():
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


BEGAN = "fences 30; intend 10 w/1 7 1 1 start"
DIED = f"{BEGAN}; fenced 10.1 w/1; commits 10.15 w/1"
WRITTEN = f"{DIED}; lifted 10.3 w/1; answered 10.4 w/1 0"
CUT_OFF = f"{BEGAN}; commits 10.15 w/1; answered 10.4 w/1 0"
LAST = "committed 99 7 1 w/1"
SEEN = "committed 10.2 7 1 w/1"


def test_what_was_answered_is_read_from_then_on(levels: Journals) -> None:
    fine = "read 10.3 12 7 0 start; read 10.5 10.6 7 1 w/1"
    old = "read 10.5 10.6 7 0 start"

    assert levels(w=WRITTEN, final=LAST, r=fine) == set()
    assert levels(w=WRITTEN, final=LAST, r=old) == {Level.ANSWERED, Level.SEEN}


def test_what_nobody_committed_is_never_read(levels: Journals) -> None:
    rolled_back = "fences 30; intend 9 v/1 7 1 0 start"

    assert levels(w=WRITTEN, v=rolled_back, final=LAST, r="read 9 11 7 1 v/1") == {Level.COMMITTED}
    assert levels(w=WRITTEN, final=LAST, r="read 8 10.14 7 1 w/1") == {Level.COMMITTED}
    assert levels(w=WRITTEN, final=LAST, r="read 8 10.16 7 1 w/1") == set()


def test_what_was_seen_is_read_from_then_on(levels: Journals) -> None:
    old = "read 10.25 10.26 7 0 start"

    assert levels(w=DIED, watcher=SEEN, final=LAST, r=old) == {Level.SEEN}
    assert levels(w=DIED, final=LAST, r=f"read 10 10.2 7 1 w/1; {old}") == {Level.SEEN}
    assert levels(w=DIED, final=LAST, r="read 10 10.26 7 1 w/1; read 10.25 11 7 0 start") == set()


@pytest.mark.parametrize(
    ("written", "main"),
    [
        (CUT_OFF, "began 0; ended 100"),
        (DIED.replace("fences 30", "fences 0.1"), "began 0; ended 100"),
        (DIED, "began 0; ended 100; fault redis-killed:forgets 10.15 10.18"),
    ],
    ids=["none", "expired", "forgotten"],
)
def test_a_fence_that_was_lost_excuses_that(levels: Journals, written: str, main: str) -> None:
    old = "read 10.25 10.26 7 0 start"

    assert levels(w=written, main=main, watcher=SEEN, final=LAST, r=old) == set()


def test_without_an_answer_the_bound_counts_while_redis_is_in_reach(levels: Journals) -> None:
    bound = BOUND_NS / SECOND
    within, after = (f"read {10.3 + bound + d} 20 7 0 start" for d in (-0.2, 0.2))
    hanging = "began 0; ended 100; fault redis-hangs 11 16"

    assert levels(w=CUT_OFF, watcher=SEEN, final=LAST, r=within) == set()
    assert levels(w=CUT_OFF, watcher=SEEN, final=LAST, r=after) == {Level.UNANSWERED}
    assert levels(w=CUT_OFF, main=hanging, watcher=SEEN, final=LAST, r=after) == set()
    lost = "ready 0; lost 9; found 16; done 100"
    assert levels(w=CUT_OFF, other=lost, watcher=SEEN, final=LAST, r=after) == set()


def test_an_address_is_its_owners(levels: Journals) -> None:
    new, old = ("lookup 10.5 10.6 7 {} {}".format(*each) for each in (("1", "1"), ("0", "1")))

    assert levels(w=WRITTEN, final=LAST, r=new) == set()
    assert levels(w=WRITTEN, final=LAST, r=old) == {Level.ANSWERED, Level.SEEN}
    assert levels(w=WRITTEN, final=LAST, r=old.replace("10.5", "10")) == set()


def test_a_commit_that_leaves_an_address_alone_promises_nothing_of_it(levels: Journals) -> None:
    unheard = "fences 30; intend 9 v/1 7 1 1 start; commits 9.1 v/1; answered 9.4 v/1 0"
    heard = WRITTEN.replace("7 1 1 start", "7 2 1 v/1")
    last = "committed 99 7 2 w/1"

    assert levels(v=unheard, w=heard, final=last, r="lookup 10.5 10.6 7 0 1") == set()
    assert levels(v=unheard, w=heard, final=last, r="lookup 20 20.6 7 0 1") == {Level.UNANSWERED}


def stress(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stress", "--seconds", "8", "--seed", "6", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "usermanagement-service"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_nothing_is_violated_while_things_die() -> None:
    ended = stress()

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "redis-killed:forgets" in ended.stdout  # what that seed begins with


@pytest.mark.slow
def test_cache_aside_in_the_same_harness_violates_much() -> None:
    ended = stress("--plain")

    assert ended.returncode == 0, ended.stderr
    for level in (Level.ANSWERED, Level.SEEN):
        assert f"! {level.value}" in ended.stdout
