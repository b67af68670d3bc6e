"""Flights over HTTP, and the seats that are left on them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app.models import Booking, Flight
from app.services import Services
from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.jobs import JobRunner

from .conftest import FLIGHT, FLIGHTS, TASKS, perform, work_off

Headers = dict[str, str]


def path(flight: dict[str, Any], *more: str) -> str:
    return "/".join([FLIGHTS, str(flight["flightId"]), *more])


@pytest.fixture
def left(client: FlaskClient, john: Headers) -> Callable[[dict[str, Any]], int]:
    """How many seats are left on a flight, as the API says."""

    def left(flight: dict[str, Any]) -> int:
        answer = client.get(path(flight, "availability"), headers=john)
        assert answer.json is not None
        assert answer.json.keys() == {"flight_id", "available_seats"}
        assert answer.json["flight_id"] == flight["flightId"]
        return int(answer.json["available_seats"])

    return left


@pytest.fixture
def book(client: FlaskClient, mine: Services) -> Callable[..., dict[str, Any]]:
    """Books seats, and gives the task as it has ended: book(headers, flight, seats)."""

    def book(headers: Headers, flight: dict[str, Any], seats: int = 1) -> dict[str, Any]:
        parameters = {"flightId": flight["flightId"], "seats": seats}
        return done(client, mine, headers, "flight_booking", parameters)

    return book


def done(
    client: FlaskClient,
    mine: Services,
    headers: Headers,
    task_type: str,
    parameters: dict[str, Any],
) -> dict[str, Any]:
    body = {"taskType": task_type, "parameters": parameters}
    accepted = client.post(TASKS, json=body, headers=headers)
    assert accepted.status_code == 202, accepted.text
    work_off(mine)
    answer = client.get(accepted.headers["Location"], headers=headers)
    assert answer.json is not None
    task: dict[str, Any] = answer.json["task"]
    return task


Left = Callable[[dict[str, Any]], int]
Book = Callable[..., dict[str, Any]]


class TestFlights:
    def test_an_admin_adds_one_and_all_users_see_it(
        self, client: FlaskClient, admin: Headers, john: Headers
    ) -> None:
        answer = client.post(FLIGHTS, json=FLIGHT, headers=admin)

        assert answer.status_code == 201
        assert answer.json is not None
        flight = answer.json["flight"]
        assert flight == {**flight, **FLIGHT, "availableSeats": 100}
        assert client.get(answer.headers["Location"], headers=john).json == {"flight": flight}
        assert client.get(FLIGHTS, headers=john).json == {"items": [flight], "next": None}

    def test_nobody_else_adds_or_changes_one(
        self, client: FlaskClient, john: Headers, flight: dict[str, Any]
    ) -> None:
        assert client.post(FLIGHTS, json=FLIGHT, headers=john).status_code == 403
        assert client.patch(path(flight), json={"totalSeats": 5}, headers=john).status_code == 403
        assert client.get(FLIGHTS).status_code == 401

    def test_the_same_flight_twice_is_a_409(
        self, client: FlaskClient, admin: Headers, flight: dict[str, Any]
    ) -> None:
        assert flight
        answer = client.post(FLIGHTS, json=FLIGHT, headers=admin)

        assert answer.status_code == 409
        assert answer.json is not None
        assert answer.json["details"][0]["field"] == "flightNumber"

    def test_between_two_airports(
        self, client: FlaskClient, admin: Headers, john: Headers, flight: dict[str, Any]
    ) -> None:
        back = FLIGHT | {"flightNumber": "PY102", "origin": "OSL", "destination": "LIS"}
        client.post(FLIGHTS, json=back, headers=admin)

        def numbers(question: str) -> list[str]:
            answer = client.get(f"{FLIGHTS}?{question}", headers=john)
            assert answer.json is not None
            return [found["flightNumber"] for found in answer.json["items"]]

        assert numbers("origin=LIS") == [flight["flightNumber"]]
        assert numbers("destination=LIS") == ["PY102"]
        assert numbers("origin=LIS&destination=LIS") == []

    def test_many_come_in_pages(self, client: FlaskClient, admin: Headers) -> None:
        for number in range(51):
            client.post(FLIGHTS, json=FLIGHT | {"flightNumber": f"PY{number}"}, headers=admin)

        first = client.get(FLIGHTS, headers=admin).json
        assert first is not None
        second = client.get(f"{FLIGHTS}?cursor={first['next']}", headers=admin).json
        assert second is not None

        shown = [flight["flightNumber"] for flight in first["items"] + second["items"]]
        assert shown == [f"PY{number}" for number in range(51)]
        assert second["next"] is None

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"flightNumber": "101"}, "flightNumber"),
            ({"flightNumber": "PY{*}"}, "flightNumber"),
            ({"origin": "lis"}, "origin"),
            ({"destination": "LIS"}, "body"),
            ({"departsAt": "2001-01-01T00:00:00Z"}, "departsAt"),
            ({"departsAt": "2099-01-31T09:30:00"}, "departsAt"),
            ({"departsAt": 4_000_000_000}, "departsAt"),
            ({"totalSeats": 0}, "totalSeats"),
            ({"totalSeats": "100"}, "totalSeats"),
            ({"totalSeats": 10**30}, "totalSeats"),
            ({"availableSeats": 5}, "availableSeats"),
        ],
    )
    def test_what_does_not_fit_is_named(
        self, client: FlaskClient, admin: Headers, change: dict[str, Any], field: str
    ) -> None:
        answer = client.post(FLIGHTS, json=FLIGHT | change, headers=admin)

        assert answer.status_code == 422
        assert answer.json is not None
        assert [detail["field"] for detail in answer.json["details"]] == [field]

    def test_an_admin_moves_it(
        self, client: FlaskClient, admin: Headers, flight: dict[str, Any]
    ) -> None:
        later = "2099-02-01T09:30:00Z"

        answer = client.patch(path(flight), json={"departsAt": later}, headers=admin)

        assert answer.json is not None
        assert answer.json["flight"]["departsAt"] == later
        missing = client.patch(f"{FLIGHTS}/999999", json={"departsAt": later}, headers=admin)
        assert missing.status_code == 404

    def test_more_seats_are_more_to_sell_and_fewer_than_booked_is_a_409(
        self,
        client: FlaskClient,
        admin: Headers,
        john: Headers,
        flight: dict[str, Any],
        book: Book,
        left: Left,
    ) -> None:
        book(john, flight, 10)

        refused = client.patch(path(flight), json={"totalSeats": 9}, headers=admin)
        assert refused.status_code == 409
        assert refused.json is not None
        assert refused.json["details"][0]["field"] == "totalSeats"
        assert left(flight) == 90
        client.patch(path(flight), json={"totalSeats": 10}, headers=admin)
        assert left(flight) == 0
        client.patch(path(flight), json={"totalSeats": 12}, headers=admin)
        assert left(flight) == 2

    @pytest.mark.parametrize("body", [{}, {"totalSeats": None}, {"origin": "OSL"}])
    def test_a_change_of_nothing_is_a_422(
        self, client: FlaskClient, admin: Headers, flight: dict[str, Any], body: dict[str, Any]
    ) -> None:
        assert client.patch(path(flight), json=body, headers=admin).status_code == 422


class TestBooking:
    def test_seats_are_sold_and_the_cache_says_so(
        self, john: Headers, flight: dict[str, Any], book: Book, left: Left
    ) -> None:
        assert left(flight) == 100

        task = book(john, flight, 3)

        assert task["status"] == "completed"
        assert task["progress"] == 100
        assert task["attempts"] == 1
        assert task["details"] == {
            "flightId": flight["flightId"],
            "flightNumber": "PY101",
            "origin": "LIS",
            "destination": "OSL",
            "departsAt": "2099-01-31T09:30:00Z",
            "seats": 3,
        }
        # Before anybody asks: the commit that sold them has seen to it.
        assert get_redis_client(1).get(f"flight:availability:{flight['flightId']}") == "97"
        assert left(flight) == 97

    def test_the_availability_lives_five_minutes(self, flight: dict[str, Any], left: Left) -> None:
        left(flight)

        assert 200 < get_redis_client(1).ttl(f"flight:availability:{flight['flightId']}") <= 300

    def test_all_or_none(
        self, john: Headers, flight: dict[str, Any], book: Book, left: Left
    ) -> None:
        book(john, flight, 98)

        task = book(john, flight, 3)

        assert task["status"] == "failed"
        assert task["error"] == "Flight PY101 has 2 seats left, not 3"
        assert task["details"] == {}
        assert left(flight) == 2

    def test_sold_out(self, john: Headers, flight: dict[str, Any], book: Book) -> None:
        book(john, flight, 100)

        assert book(john, flight)["error"] == "Flight PY101 is sold out"

    def test_a_flight_that_is_not_there_or_has_departed(
        self, mine: Services, john: Headers, flight: dict[str, Any], book: Book
    ) -> None:
        assert book(john, {"flightId": 999_999})["error"] == "There is no flight 999999"
        with mine.database.begin() as tx:
            row = tx.get_one(Flight, flight["flightId"])
            row.departs_at = row.departs_at.replace(year=2001)

        assert book(john, flight)["error"] == "Flight PY101 has departed"

    def test_a_flight_that_is_unknown_has_no_availability(
        self, client: FlaskClient, john: Headers
    ) -> None:
        assert client.get(f"{FLIGHTS}/999999/availability", headers=john).status_code == 404
        assert client.get(f"{FLIGHTS}/999999", headers=john).status_code == 404

    def test_eight_threads_sell_exactly_what_there_is(
        self,
        client: FlaskClient,
        mine: Services,
        admin: Headers,
        john: Headers,
        flight: dict[str, Any],
        left: Left,
    ) -> None:
        client.patch(path(flight), json={"totalSeats": 20}, headers=admin)
        body = {
            "taskType": "flight_booking",
            "parameters": {"flightId": flight["flightId"], "seats": 1},
        }
        made = [client.post(TASKS, json=body, headers=john) for _ in range(30)]
        runner = JobRunner(mine.jobs, perform(mine))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda answer: runner.do(answer.json["task"]["taskId"]), made * 2))

        statuses = [
            client.get(answer.headers["Location"], headers=john).json["task"]["status"]  # type: ignore[index]
            for answer in made
        ]
        assert (statuses.count("completed"), statuses.count("failed")) == (20, 10)
        assert left(flight) == 0
        with mine.database.read() as tx:
            assert len(tx.scalars(select(Booking)).all()) == 20


class TestCancellation:
    def test_the_seats_are_given_back_once(
        self,
        client: FlaskClient,
        mine: Services,
        john: Headers,
        flight: dict[str, Any],
        book: Book,
        left: Left,
    ) -> None:
        booked = book(john, flight, 3)
        wanted = {"taskId": booked["taskId"]}

        first = done(client, mine, john, "booking_cancellation", wanted)
        again = done(client, mine, john, "booking_cancellation", wanted)

        assert first["status"] == "completed"
        assert first["details"]["seats"] == 3
        assert first["details"]["bookingTaskId"] == booked["taskId"]
        assert again["error"] == "The booking is cancelled already"
        assert left(flight) == 100

    def test_nobody_cancels_anothers(
        self,
        client: FlaskClient,
        mine: Services,
        john: Headers,
        jane: Headers,
        flight: dict[str, Any],
        book: Book,
        left: Left,
    ) -> None:
        booked = book(john, flight, 3)

        task = done(client, mine, jane, "booking_cancellation", {"taskId": booked["taskId"]})

        assert task["error"] == f"You have no booking by task {booked['taskId']}"
        assert left(flight) == 97

    def test_a_failed_booking_is_none(
        self,
        client: FlaskClient,
        mine: Services,
        john: Headers,
        flight: dict[str, Any],
        book: Book,
    ) -> None:
        book(john, flight, 100)
        failed = book(john, flight)

        task = done(client, mine, john, "booking_cancellation", {"taskId": failed["taskId"]})

        assert task["status"] == "failed"


def test_flights_repeat_their_answer_under_a_key(app: Flask, admin: Headers) -> None:
    client = app.test_client()
    key = admin | {"Idempotency-Key": "a-flight"}

    answers = [client.post(FLIGHTS, json=FLIGHT, headers=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].data == answers[1].data
    assert answers[1].headers["Idempotency-Replayed"] == "true"
