"""The checks of a task run, on states that are wrong in one way."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reliability.tasks.checker import SHOWN, check
from reliability.tasks.state import Accepted, Booking, Flight, Key, State, Task

BOOKS = Accepted(1, 7, "one", "flight_booking", {"flightId": 5, "seats": 2})
UNWANTED = Accepted(2, 7, "two", "flight_booking", {"flightId": 5, "seats": 3})
CANCELS = Accepted(3, 7, "three", "booking_cancellation", {"taskId": 2})
ACCEPTED = [BOOKS, UNWANTED, CANCELS]


def completed(accepted: Accepted, details: dict[str, Any]) -> Task:
    return Task(
        id=accepted.task_id,
        user_id=accepted.user_id,
        task_type=accepted.kind,
        status="completed",
        attempts=1,
        error=None,
        progress=100,
        parameters=accepted.parameters,
        details=details,
    )


@pytest.fixture
def state() -> State:
    """A correct state: of two bookings one is cancelled."""
    state = State(
        jobs=[],
        keys=[],
        flights=[],
        bookings=[
            Booking(task_id=1, flight_id=5, user_id=7, seats=2, cancelled_at=None),
            Booking(task_id=2, flight_id=5, user_id=7, seats=3, cancelled_at="yesterday"),
        ],
    )
    for accepted in ACCEPTED:
        put_key(state, accepted.digest, accepted.task_id)
    put(state, completed(BOOKS, {"flightId": 5, "seats": 2}))
    put(state, completed(UNWANTED, {"flightId": 5, "seats": 3}))
    put(state, completed(CANCELS, {"flightId": 5, "seats": 3, "bookingTaskId": 2}))
    put_flight(state, 10, 8)
    return state


def put(state: State, task: Task) -> None:
    """Add the task, or replace the one with its id. HTTP shows it too."""
    state.jobs = [*(one for one in state.jobs if one.id != task.id), task]
    state.shown_tasks[task.id] = {
        name: getattr(task, attribute) for name, attribute in SHOWN.items()
    }


def put_key(state: State, digest: str, task_id: int) -> None:
    """Add the idempotency key of a task of user 7."""
    state.keys.append(Key(digest, 7, f"/api/v1/airliner/tasks/{task_id}"))


def put_flight(state: State, total: int, available: int) -> None:
    """The flight. HTTP shows it too."""
    state.flights = [Flight(id=5, total_seats=total, available_seats=available)]
    state.shown_seats[5] = available


def change_task(state: State, task: int, **changes: Any) -> None:
    put(state, replace(state.jobs[task], **changes))


def change_booking(state: State, booking: int, **changes: Any) -> None:
    state.bookings[booking] = replace(state.bookings[booking], **changes)


def only(violations: list[str]) -> str:
    assert len(violations) == 1, violations
    return violations[0]


def test_a_correct_state_has_no_violations(state: State) -> None:
    assert check(ACCEPTED, state) == []


def test_an_accepted_task_that_does_not_exist_is_found(state: State) -> None:
    lost = Accepted(9, 7, "nine", "flight_booking", {})

    assert only(check([*ACCEPTED, lost], state)).startswith("task 9 was accepted")


def test_a_task_that_differs_from_the_accepted_one_is_found(state: State) -> None:
    accepted = replace(BOOKS, parameters={"flightId": 5, "seats": 4})

    assert "differs from the one accepted" in only(check([accepted], state))


def test_a_second_task_of_a_repeated_request_is_found(state: State) -> None:
    put(state, replace(state.jobs[0], id=4, status="failed", error="It is sold out"))

    assert only(check(ACCEPTED, state)) == "task 4 has 0 keys"


def test_a_task_with_two_keys_is_found(state: State) -> None:
    put_key(state, "another", 1)

    assert only(check(ACCEPTED, state)) == "task 1 has 2 keys"


def test_a_key_with_another_task_is_found(state: State) -> None:
    state.keys[0] = replace(state.keys[0], location="/api/v1/airliner/tasks/2")

    assert "task 1 was accepted for key one, but SQL has 2" in check(ACCEPTED, state)


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_a_task_that_has_not_ended_is_found(state: State, status: str) -> None:
    put(state, replace(state.jobs[2], id=4, status=status))
    put_key(state, "four", 4)

    assert only(check(ACCEPTED, state)) == f"task 4 is {status}, after 1 attempts"


@pytest.mark.parametrize("left", [6, 10])
def test_seats_that_were_sold_twice_or_never_are_found(state: State, left: int) -> None:
    put_flight(state, 10, left)

    assert only(check(ACCEPTED, state)) == (
        f"{10 - left} seats of flight 5 are sold, but 2 are booked, and 2 by completed tasks"
    )


# The first violation that is found, how many are found, and what is wrong.
WRONG: list[tuple[str, int, Callable[[State], object]]] = [
    ("flight 5 has -1 of 1 seats", 1, lambda s: put_flight(s, 1, -1)),
    ("flight 5 is shown with 10 seats, not 8", 1, lambda s: s.shown_seats.update({5: 10})),
    ("the booking of task 1 is not what was", 1, lambda s: change_booking(s, 0, user_id=8)),
    ("booking 2 is not cancelled, but 1", 2, lambda s: change_booking(s, 1, cancelled_at=None)),
    ("booking 2 is cancelled, but 0", 2, lambda s: change_task(s, 2, status="failed")),
    ("task 1 has a booking, but is not", 2, lambda s: change_task(s, 0, status="failed")),
    ("task 1 is completed, but has 0 bookings", 2, lambda s: s.bookings.pop(0)),
    ("task 1 is completed, but has 2 bookings", 2, lambda s: s.bookings.append(s.bookings[0])),
]


@pytest.mark.parametrize(("violation", "number", "change"), WRONG)
def test_a_wrong_flight_or_booking_is_found(
    state: State, violation: str, number: int, change: Callable[[State], object]
) -> None:
    change(state)

    found = check(ACCEPTED, state)

    assert found[0].startswith(violation)
    assert len(found) == number, found


def test_a_stale_task_in_the_cache_is_found(state: State) -> None:
    state.shown_tasks[1]["status"] = "processing"

    assert only(check(ACCEPTED, state)).endswith("its status is completed")
