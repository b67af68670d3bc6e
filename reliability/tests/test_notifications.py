"""The checks of a notification run, on states that are wrong in one way."""

from dataclasses import replace

import pytest

from reliability.notifications.checker import check, repeated
from reliability.notifications.state import Accepted, Delivery, Event, EventRow, Row, State

EMAIL = Row(1, "a1", "email", "1-0", "sent", 1, None)
WEBHOOK = Row(2, "a2", "webhook", "1-1", "sent", 2, None)
EVENT = Event("evt_1", {"username": "1-0"})
ACCEPTED = [
    Accepted("1-0", "email", 1, "a1"),
    Accepted("1-1", "webhook", 2, "a2"),
    Accepted("1-0", "event", 0, "evt_1"),
]


@pytest.fixture
def state() -> State:
    """A correct state, in which a webhook was delivered twice."""
    webhook = Delivery("webhook", "1-1", "a2")
    return State(
        jobs=[EMAIL, WEBHOOK],
        deliveries=[
            Delivery("email", "1-0", "a1"),
            webhook,
            webhook,
            *(Delivery(f"event/{number}", "1-0", "evt_1") for number in range(2)),
        ],
        shown={1: {"status": "sent", "attempts": 1}, 2: {"status": "sent", "attempts": 2}},
        events=[EVENT],
        event_rows=[EventRow(number, "evt_1", number, 1, "sent", 1, None) for number in range(2)],
    )


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


def test_a_correct_state_has_no_violations(state: State) -> None:
    assert check(ACCEPTED, state) == []
    assert dict(repeated(state.deliveries)) == {
        "email": 0,
        "webhook": 1,
        "event/0": 0,
        "event/1": 0,
    }


def test_a_lost_notification_is_found(state: State) -> None:
    state.jobs, state.deliveries = [WEBHOOK], state.deliveries[1:]

    assert only(check(ACCEPTED, state)).endswith("was accepted, but SQL has []")


def test_a_duplicate_notification_is_found(state: State) -> None:
    state.jobs.append(replace(EMAIL, id=3))
    state.shown[3] = state.shown[1]

    assert "was accepted, but SQL has [(1, 'a1', 'email'), (3" in only(check(ACCEPTED, state))


@pytest.mark.parametrize("status", ["queued", "sending", "failed", "suppressed"])
def test_a_notification_that_is_not_sent_is_found(state: State, status: str) -> None:
    state.jobs[0] = replace(EMAIL, status=status)
    state.shown[1]["status"] = status

    assert only(check(ACCEPTED, state)).startswith(f"notification 1 is {status}")


def test_a_notification_that_has_not_arrived_is_found(state: State) -> None:
    del state.deliveries[0]

    assert only(check(ACCEPTED, state)) == "notification 1 is sent, but has not arrived"


def test_a_second_message_id_is_found(state: State) -> None:
    state.deliveries.append(Delivery("webhook", "1-1", "b2"))

    assert only(check(ACCEPTED, state)).endswith("has arrived, but its message id is a2")


def test_a_delivery_that_was_not_requested_is_found(state: State) -> None:
    state.deliveries.append(Delivery("email", "1-7", "a7"))

    assert only(check(ACCEPTED, state)).endswith("has arrived, but was not requested")


def test_a_stale_value_in_the_cache_is_found(state: State) -> None:
    state.shown[2] = {"status": "sending", "attempts": 2}

    assert "notification 2 is sent, but is shown as" in only(check(ACCEPTED, state))


def test_an_event_that_is_lost_is_found(state: State) -> None:
    state.events, state.event_rows, state.deliveries = [], [], state.deliveries[:-2]

    assert only(check(ACCEPTED, state)).endswith("was accepted, but SQL has []")


def test_an_event_that_has_not_arrived_is_found(state: State) -> None:
    del state.deliveries[-1]

    assert only(check(ACCEPTED, state)) == "evt_1 has not arrived at webhook 1"


def test_an_event_that_is_not_sent_is_found(state: State) -> None:
    state.event_rows[0] = replace(state.event_rows[0], status="failed", error="no")

    assert only(check(ACCEPTED, state)) == "delivery 0 of evt_1 is failed: no"


def test_an_event_under_another_id_is_found(state: State) -> None:
    state.deliveries.append(Delivery("event/1", "1-0", "evt_2"))

    assert only(check(ACCEPTED, state)).endswith("has arrived, but its message id is evt_1")


def test_a_gap_in_the_numbers_is_found(state: State) -> None:
    state.event_rows[1] = replace(state.event_rows[1], sequence=2)

    assert only(check(ACCEPTED, state)) == "the events of webhook 1 have the numbers [2]"
