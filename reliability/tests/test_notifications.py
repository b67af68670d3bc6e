"""`make chaos-notifications` in short, and whether its checks can tell, on what is wrong."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.notifications.arrivals import Arrival
from chaos.notifications.check import check, repeated
from chaos.notifications.state import Accepted, Row, State
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.postgres import postgres_binaries

ROOT = Path(__file__).parent.parent.parent

MAIL = Row(1, "a1", "email", "1-0", "sent", 1, None)
CALL = Row(2, "a2", "webhook", "1-1", "sent", 2, None)
ACCEPTED = [Accepted("1-0", "email", 1, "a1"), Accepted("1-1", "webhook", 2, "a2")]


@pytest.fixture
def state() -> State:
    """A run in which all went well, though a call came twice."""
    call = Arrival("webhook", "1-1", "a2")
    return State(
        rows=[MAIL, CALL],
        arrivals=[Arrival("email", "1-0", "a1"), call, call],
        shown={1: {"status": "sent", "attempts": 1}, 2: {"status": "sent", "attempts": 2}},
    )


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


def test_a_state_that_is_right_has_no_violations(state: State) -> None:
    assert check(ACCEPTED, state) == []
    assert dict(repeated(state.arrivals)) == {"email": 0, "webhook": 1}


def test_one_that_is_lost_is_found(state: State) -> None:
    state.rows, state.arrivals = [CALL], state.arrivals[1:]

    assert only(check(ACCEPTED, state)).endswith("was accepted, and SQL has []")


def test_one_that_is_there_twice_is_found(state: State) -> None:
    state.rows.append(replace(MAIL, id=3))
    state.shown[3] = state.shown[1]

    assert "was accepted, and SQL has [(1, 'a1', 'email'), (3" in only(check(ACCEPTED, state))


@pytest.mark.parametrize("status", ["queued", "sending", "failed", "suppressed"])
def test_one_that_is_not_sent_is_found(state: State, status: str) -> None:
    state.rows[0] = replace(MAIL, status=status)
    state.shown[1]["status"] = status

    assert only(check(ACCEPTED, state)).startswith(f"notification 1 is {status}")


def test_one_that_has_not_arrived_is_found(state: State) -> None:
    del state.arrivals[0]

    assert only(check(ACCEPTED, state)) == "notification 1 is sent, and has not arrived"


def test_another_id_of_the_same_is_found(state: State) -> None:
    state.arrivals.append(Arrival("webhook", "1-1", "b2"))

    assert only(check(ACCEPTED, state)).endswith("has arrived, and its id is a2")


def test_what_nobody_wanted_is_found(state: State) -> None:
    state.arrivals.append(Arrival("email", "1-7", "a7"))

    assert only(check(ACCEPTED, state)).endswith("has arrived, and nobody wanted it")


def test_an_old_value_in_the_cache_is_found(state: State) -> None:
    state.shown[2] = {"status": "sending", "attempts": 2}

    assert "notification 2 is sent, and is shown as" in only(check(ACCEPTED, state))


def chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos.notifications", "--number", "100", "--seconds", "10"]
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "notification-service"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.slow
@pytest.mark.parametrize("database", [[], ["--postgres"]], ids=["sqlite", "postgresql"])
def test_nothing_is_lost_while_things_die(database: list[str]) -> None:
    if database and postgres_binaries() is None:
        missing("PostgreSQL")

    ended = chaos("--seed", "3", *database)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 violations" in ended.stdout


@pytest.mark.slow
def test_an_id_for_each_attempt_is_found() -> None:
    ended = chaos("--seed", "2", "--seconds", "5", "--without", "id")

    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "has arrived, and its id is" in ended.stdout
