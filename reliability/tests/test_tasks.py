"""`make chaos-tasks` in short, and whether its checks can tell: on states that are wrong."""

import os
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos.check import check
from chaos.state import Accepted, Booking, Flight, State, Task
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.postgres import postgres_binaries

ROOT = Path(__file__).parent.parent.parent

BOOKS = Accepted(1, 7, "one", "flight_booking", {"flightId": 5, "seats": 2})
REGRETS = Accepted(2, 7, "two", "flight_booking", {"flightId": 5, "seats": 3})
CANCELS = Accepted(3, 7, "three", "booking_cancellation", {"taskId": 2})
ACCEPTED = [BOOKS, REGRETS, CANCELS]


def done(accepted: Accepted, details: dict[str, Any]) -> Task:
    return Task(
        id=accepted.task_id,
        user_id=accepted.user_id,
        idempotency_key=accepted.digest,
        task_type=accepted.kind,
        status="completed",
        attempts=1,
        error=None,
        progress=100,
        parameters=accepted.parameters,
        details=details,
    )


def shown(task: Task) -> dict[str, Any]:
    return {
        "taskId": task.id,
        "userId": task.user_id,
        "taskType": task.task_type,
        "status": task.status,
        "attempts": task.attempts,
        "error": task.error,
        "progress": task.progress,
        "parameters": task.parameters,
        "details": task.details,
    }


@pytest.fixture
def state() -> State:
    """All is well: of two bookings one is cancelled."""
    tasks = [
        done(BOOKS, {"flightId": 5, "seats": 2}),
        done(REGRETS, {"flightId": 5, "seats": 3}),
        done(CANCELS, {"flightId": 5, "seats": 3, "bookingTaskId": 2}),
    ]
    return State(
        tasks=tasks,
        flights=[Flight(id=5, total_seats=10, available_seats=8)],
        bookings=[
            Booking(task_id=1, flight_id=5, user_id=7, seats=2, cancelled_at=None),
            Booking(task_id=2, flight_id=5, user_id=7, seats=3, cancelled_at="yesterday"),
        ],
        shown_tasks={task.id: shown(task) for task in tasks},
        shown_seats={5: 8},
    )


def put(state: State, task: Task) -> None:
    """The task in the place of the one with its id, for HTTP too."""
    state.tasks = [task if task.id == one.id else one for one in state.tasks]
    state.shown_tasks[task.id] = shown(task)


def only(violations: list[str]) -> str:
    assert len(violations) == 1, violations
    return violations[0]


def test_where_all_is_well_nothing_is_found(state: State) -> None:
    assert check(ACCEPTED, state) == []


def test_an_accepted_task_that_there_is_not_is_found(state: State) -> None:
    lost = Accepted(9, 7, "nine", "flight_booking", {})

    assert only(check([*ACCEPTED, lost], state)).startswith("task 9 was accepted")


def test_a_task_that_was_made_anew_for_a_known_key_is_found(state: State) -> None:
    twin = replace(state.tasks[0], id=4, status="failed", error="It is sold out")
    state.tasks.append(twin)
    state.shown_tasks[4] = shown(twin)

    found = check(ACCEPTED, state)

    assert "task 1 was accepted for key one, and SQL has [1, 4]" in found
    assert any(violation.startswith("user 7 has 2 tasks") for violation in found)


def test_a_task_that_is_another_than_the_accepted_one_is_found(state: State) -> None:
    told = replace(BOOKS, parameters={"flightId": 5, "seats": 4})

    assert "is another than the one accepted" in only(check([told], state))


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_a_task_that_has_not_ended_is_found(state: State, status: str) -> None:
    put(state, replace(state.tasks[2], id=4, status=status))
    state.tasks.append(replace(state.tasks[2], id=4, status=status, idempotency_key="four"))

    assert only(check(ACCEPTED, state)) == f"task 4 is {status}, after 1 attempts"


@pytest.mark.parametrize("left", [6, 10])
def test_seats_that_were_sold_twice_or_not_at_all_are_found(state: State, left: int) -> None:
    state.flights = [replace(state.flights[0], available_seats=left)]
    state.shown_seats[5] = left

    sold = 10 - left
    assert only(check(ACCEPTED, state)) == (
        f"of flight 5, {sold} seats are sold, 2 are booked, and completed tasks say 2"
    )


def test_more_seats_than_there_are_are_found(state: State) -> None:
    state.flights = [Flight(id=5, total_seats=1, available_seats=-1)]
    state.shown_seats[5] = -1

    assert only(check(ACCEPTED, state)) == "flight 5 has -1 of 1 seats"


def test_a_booking_that_is_missing_is_found(state: State) -> None:
    del state.bookings[0]

    assert "task 1 is completed and has 0 bookings" in check(ACCEPTED, state)


def test_a_booking_that_is_there_twice_is_found(state: State) -> None:
    state.bookings.append(state.bookings[0])

    assert "task 1 is completed and has 2 bookings" in check(ACCEPTED, state)


def test_a_booking_of_a_task_that_failed_is_found(state: State) -> None:
    put(state, replace(state.tasks[0], status="failed", details={}))

    assert "there is a booking of task 1, which is not completed" in check(ACCEPTED, state)


def test_a_booking_of_other_seats_is_found(state: State) -> None:
    state.bookings[0] = replace(state.bookings[0], user_id=8)

    assert only(check(ACCEPTED, state)) == "the booking of task 1 is not what was wanted"


def test_a_booking_that_nobody_cancelled_and_is_so_is_found(state: State) -> None:
    put(state, replace(state.tasks[2], status="failed"))

    assert "booking 2 is cancelled, by 0 completed tasks" in check(ACCEPTED, state)


def test_a_booking_that_was_cancelled_and_is_not_is_found(state: State) -> None:
    state.bookings[1] = replace(state.bookings[1], cancelled_at=None)

    assert "booking 2 is not cancelled, by 1 completed tasks" in check(ACCEPTED, state)


def test_an_old_value_in_the_cache_is_found(state: State) -> None:
    old_seats, old_task = deepcopy(state), deepcopy(state)
    old_seats.shown_seats[5] = 10
    old_task.shown_tasks[1]["status"] = "processing"

    assert only(check(ACCEPTED, old_seats)) == "flight 5 is shown with 10 seats, not 8"
    assert only(check(ACCEPTED, old_task)).endswith("its status is completed")


def chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chaos", "--bookings", "120", "--seconds", "10", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "taskprocessing-service"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.slow
@pytest.mark.parametrize("database", [[], ["--postgres"]], ids=["sqlite", "postgresql"])
def test_nothing_is_lost_or_done_twice_while_things_die(database: list[str]) -> None:
    if database and postgres_binaries() is None:
        missing("PostgreSQL")

    ended = chaos("--seed", "3", *database)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 violations" in ended.stdout


@pytest.mark.slow
def test_seats_that_are_sold_in_a_transaction_of_their_own_are_lost() -> None:
    ended = chaos("--seed", "2", "--seconds", "6", "--without", "transaction")

    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "seats are sold" in ended.stdout
