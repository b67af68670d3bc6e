"""Tasks that sell seats, and tasks that return them."""

from concurrent.futures import ThreadPoolExecutor

from flask.testing import FlaskClient
from sqlalchemy import select

from app.models import Booking, Flight, Task
from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.jobs import JobRunner

from .conftest import FLIGHTS, Headers, Json, Portal, booking


def cancellation(task: Json) -> Json:
    return {"taskType": "booking_cancellation", "parameters": {"taskId": task["taskId"]}}


class TestBooking:
    def test_seats_are_sold_and_the_cache_has_the_new_number(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        assert portal.seats_left(john, flight) == 100

        task = portal.run(john, booking(flight, 3))

        assert (task["status"], task["progress"], task["attempts"]) == ("completed", 100, 1)
        assert task["details"] == {
            "flightId": flight["flightId"],
            "flightNumber": "PY101",
            "origin": "LIS",
            "destination": "OSL",
            "departsAt": "2099-01-31T09:30:00Z",
            "seats": 3,
        }
        # Before anyone reads it: the worker refilled the cache after the commit.
        key = f"flight:availability:{flight['flightId']}"
        assert get_redis_client(1).get(key) == "97"
        assert 200 < get_redis_client(1).ttl(key) <= 300
        assert portal.seats_left(john, flight) == 97

    def test_all_seats_are_sold_or_none(self, portal: Portal, john: Headers, flight: Json) -> None:
        portal.run(john, booking(flight, 98))

        task = portal.run(john, booking(flight, 3))

        assert task["status"] == "failed"
        assert task["error"] == "Flight PY101 has 2 seats left, not 3"
        assert task["details"] == {}
        assert portal.seats_left(john, flight) == 2

    def test_sold_out(self, portal: Portal, john: Headers, flight: Json) -> None:
        portal.run(john, booking(flight, 100))

        assert portal.run(john, booking(flight))["error"] == "Flight PY101 is sold out"

    def test_flight_that_does_not_exist_or_has_departed(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        unknown = portal.create(john, booking(flight))  # as an earlier version accepted it
        with portal.services.database.begin() as tx:
            tx.get_one(Task, unknown["taskId"]).parameters = {"flightId": 999_999, "seats": 1}
        portal.run_tasks()
        assert portal.show(john, unknown)["error"] == "Flight 999999 does not exist"
        with portal.services.database.begin() as tx:
            row = tx.get_one(Flight, flight["flightId"])
            row.departs_at = row.departs_at.replace(year=2001)

        assert portal.run(john, booking(flight))["error"] == "Flight PY101 has departed"

    def test_eight_threads_sell_exactly_the_seats_of_a_flight(
        self, client: FlaskClient, portal: Portal, admin: Headers, john: Headers, flight: Json
    ) -> None:
        path = f"{FLIGHTS}/{flight['flightId']}"
        client.patch(path, json={"totalSeats": 20}, headers=admin)
        tasks = [portal.create(john, booking(flight)) for _ in range(30)]
        runner = JobRunner(portal.services.jobs, portal.services.task_handlers.run)

        def run_some(_: object) -> None:
            for claim in portal.services.jobs.claim(3):
                runner.do(claim)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(run_some, tasks))

        statuses = [portal.show(john, task)["status"] for task in tasks]
        assert (statuses.count("completed"), statuses.count("failed")) == (20, 10)
        assert portal.seats_left(john, flight) == 0
        with portal.services.database.read() as tx:
            assert len(tx.scalars(select(Booking)).all()) == 20


class TestCancellation:
    def test_seats_are_returned_once(self, portal: Portal, john: Headers, flight: Json) -> None:
        booked = portal.run(john, booking(flight, 3))

        first = portal.run(john, cancellation(booked))
        again = portal.run(john, cancellation(booked))

        assert first["status"] == "completed"
        assert first["details"]["seats"] == 3
        assert first["details"]["bookingTaskId"] == booked["taskId"]
        assert again["error"] == "The booking is already cancelled"
        assert portal.seats_left(john, flight) == 100

    def test_booking_of_another_user_is_not_cancelled(
        self, portal: Portal, john: Headers, jane: Headers, flight: Json
    ) -> None:
        booked = portal.run(john, booking(flight, 3))

        waiting = portal.create(jane, booking(flight))
        task = portal.create(jane, cancellation(waiting))
        with portal.services.database.begin() as tx:
            tx.get_one(Task, task["taskId"]).parameters = {"taskId": booked["taskId"]}
        portal.run_tasks()

        error = portal.show(jane, task)["error"]
        assert error == f"Task {booked['taskId']} is not one of your bookings"
        assert portal.seats_left(john, flight) == 96

    def test_failed_booking_cannot_be_cancelled(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        portal.run(john, booking(flight, 100))
        failed = portal.run(john, booking(flight))

        assert portal.run(john, cancellation(failed))["status"] == "failed"
