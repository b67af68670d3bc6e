"""The bookings of a user over HTTP: list, show and cancel them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.models import Booking, Flight, Task
from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, json_of, problem_of, session_headers

from .conftest import (
    FLIGHT,
    FLIGHTS,
    TASKS,
    Headers,
    Json,
    MakeApp,
    Portal,
    booking,
    listening,
    services_of,
)

BOOKINGS = f"{API}/bookings"


def path(task: Json, action: str = "") -> str:
    return f"{BOOKINGS}/{task['taskId']}{action}"


def shown(client: FlaskClient, headers: Headers, query: str = "") -> list[Json]:
    items: list[Json] = json_of(client.get(f"{BOOKINGS}?{query}", headers=headers))["items"]
    return items


class TestRead:
    def test_booking_has_its_state_its_times_and_its_flight(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        task = portal.run(john, booking(flight, 3))

        [listed] = shown(portal.client, john)

        assert listed == {
            **listed,
            "bookingId": task["taskId"],
            "taskReference": task["taskReference"],
            "userId": 7,
            "status": "confirmed",
            "seats": 3,
            "flightId": flight["flightId"],
            "flightNumber": "PY101",
            "origin": "LIS",
            "destination": "OSL",
            "departsAt": "2099-01-31T09:30:00Z",
            "createdAt": task["createdAt"],
            "cancelledAt": None,
        }
        assert task["startedAt"] < listed["confirmedAt"]
        assert portal.client.get(path(task), headers=john).json == {"booking": listed}

    def test_task_that_has_booked_nothing_is_no_booking(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        portal.run(john, booking(flight, 100))
        failed = portal.run(john, booking(flight))
        exported = portal.run(john, {"taskType": "data_export", "parameters": {}})
        waiting = portal.create(john, booking(flight))

        for task in (failed, exported, waiting):
            assert portal.client.get(path(task), headers=john).status_code == 404
            assert portal.client.post(path(task, "/cancel"), headers=john).status_code == 404

    def test_booking_of_another_user_is_a_404_also_for_admins(
        self, portal: Portal, john: Headers, jane: Headers, admin: Headers, flight: Json
    ) -> None:
        task = portal.run(john, booking(flight))

        for headers in (jane, admin):
            assert portal.client.get(path(task), headers=headers).status_code == 404
            assert portal.client.post(path(task, "/cancel"), headers=headers).status_code == 404
            assert shown(portal.client, headers) == []
        assert portal.seats_left(john, flight) == 99

    def test_change_of_the_flight_is_visible_at_once(
        self, portal: Portal, john: Headers, admin: Headers, flight: Json
    ) -> None:
        task = portal.run(john, booking(flight))
        change = {"departsAt": "2099-02-01T09:30:00Z"}

        portal.client.patch(f"{FLIGHTS}/{flight['flightId']}", json=change, headers=admin)

        assert shown(portal.client, john, "departure=2099-01-31") == []
        [found] = shown(portal.client, john, "departure=2099-02-01")
        assert (found["bookingId"], found["departsAt"]) == (task["taskId"], change["departsAt"])

    def test_bookings_require_a_session(self, client: FlaskClient) -> None:
        assert client.get(BOOKINGS).status_code == 401
        assert client.get(f"{BOOKINGS}/1").status_code == 401
        assert client.post(f"{BOOKINGS}/1/cancel").status_code == 401

    def test_deleted_users_bookings_are_nobodys(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        task = portal.run(john, booking(flight))

        portal.services.tasks.anonymise(7)

        assert shown(portal.client, john) == []
        assert portal.client.get(path(task), headers=john).status_code == 404


class TestCancel:
    def test_seats_are_returned_at_once_and_once(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        task = portal.run(john, booking(flight, 3))
        assert portal.seats_left(john, flight) == 97

        first, again = (portal.client.post(path(task, "/cancel"), headers=john) for _ in range(2))

        assert (first.status_code, again.status_code) == (200, 200)
        assert first.data == again.data
        cancelled = json_of(first)["booking"]
        assert cancelled["status"] == "cancelled"
        assert cancelled["cancelledAt"] > cancelled["confirmedAt"]
        assert get_redis_client(1).get(f"flight:availability:{flight['flightId']}") == "100"
        assert portal.seats_left(john, flight) == 100
        assert shown(portal.client, john) == [cancelled]
        assert portal.show(john, task)["status"] == "completed"

    def test_eight_threads_cancel_once(self, portal: Portal, john: Headers, flight: Json) -> None:
        task = portal.run(john, booking(flight, 10))
        portal.run(john, booking(flight, 5))

        def cancel(_: object) -> tuple[int, bytes]:
            client = portal.client.application.test_client(use_cookies=False)
            response = client.post(path(task, "/cancel"), headers=john)
            return response.status_code, response.data

        with ThreadPoolExecutor(8) as pool:
            responses = set(pool.map(cancel, range(8)))

        assert [status for status, _ in responses] == [200]
        assert portal.seats_left(john, flight) == 95

    def test_calls_and_a_task_at_once_cancel_once(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        task = portal.run(john, booking(flight, 10))
        wanted = {"taskType": "booking_cancellation", "parameters": {"taskId": task["taskId"]}}
        by_task = portal.create(john, wanted)
        barrier = Barrier(3)

        def cancel(_: object) -> int:
            client = portal.client.application.test_client(use_cookies=False)
            barrier.wait()
            return client.post(path(task, "/cancel"), headers=john).status_code

        with ThreadPoolExecutor(2) as pool:
            responses = pool.map(cancel, range(2))
            barrier.wait()
            portal.run_tasks()

        assert list(responses) == [200, 200]
        assert portal.show(john, by_task)["status"] in {"completed", "failed"}
        assert portal.seats_left(john, flight) == 100
        [cancelled] = shown(portal.client, john)
        assert cancelled["status"] == "cancelled"

    def test_by_a_task_or_by_a_call_it_is_cancelled_once(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        first, second = (portal.run(john, booking(flight, 3)) for _ in range(2))

        portal.client.post(path(first, "/cancel"), headers=john)
        cancellations = [
            {"taskType": "booking_cancellation", "parameters": {"taskId": task["taskId"]}}
            for task in (first, second)
        ]
        by_task = [portal.run(john, cancellation) for cancellation in cancellations]
        by_call = portal.client.post(path(second, "/cancel"), headers=john)

        assert by_task[0]["error"] == "The booking is already cancelled"
        assert by_task[1]["status"] == "completed"
        assert by_call.status_code == 200
        assert portal.seats_left(john, flight) == 100

    def test_departed_flight_is_a_409_unless_it_was_cancelled_before(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        kept, cancelled = (portal.run(john, booking(flight)) for _ in range(2))
        portal.client.post(path(cancelled, "/cancel"), headers=john)
        with portal.services.database.begin() as tx:
            row = tx.get_one(Flight, flight["flightId"])
            row.departs_at = row.departs_at.replace(year=2001)

        refused = portal.client.post(path(kept, "/cancel"), headers=john)

        assert refused.status_code == 409
        assert json_of(refused)["error"] == "The flight has departed"
        assert portal.client.post(path(cancelled, "/cancel"), headers=john).status_code == 200
        assert portal.seats_left(john, flight) == 99

    def test_failure_before_the_commit_changes_nothing(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        task = portal.run(john, booking(flight, 3))

        def fail(_connection: object, _cursor: object, text: str, *_: object) -> None:
            if text.startswith("UPDATE flights"):
                raise OSError

        with listening(portal.services.database.engine, "before_cursor_execute", fail):
            assert portal.client.post(path(task, "/cancel"), headers=john).status_code == 500

        [unchanged] = shown(portal.client, john)
        assert (unchanged["status"], unchanged["cancelledAt"]) == ("confirmed", None)
        assert portal.seats_left(john, flight) == 97

    def test_completed_task_names_the_call_that_cancels_its_booking(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        task = portal.run(john, booking(flight))

        response = portal.post(john, task, "cancel")

        assert response.status_code == 409
        assert json_of(response)["error"] == "The task has ended"
        [detail] = json_of(response)["details"]
        assert detail == {
            "field": "task_id",
            "message": f"Cancel its booking: POST {path(task, '/cancel')}",
        }
        named = detail["message"].rpartition(" ")[2]
        assert portal.client.post(named, headers=john).status_code == 200
        assert portal.seats_left(john, flight) == 100

    def test_other_tasks_that_have_ended_name_no_call(
        self, portal: Portal, john: Headers, flight: Json
    ) -> None:
        export = portal.run(john, {"taskType": "data_export", "parameters": {}})
        failed = portal.run(john, booking(flight, 100)) and portal.run(john, booking(flight))

        for task in (export, failed):
            response = portal.post(john, task, "cancel")
            assert (response.status_code, json_of(response)["details"]) == (409, [])

    def test_without_the_cache_it_is_cancelled_once(
        self,
        make_app: MakeApp,
        own_redis: RedisServer,
        redis_server: RedisServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SESSION_REDIS_URL", f"{redis_server.url}/0")
        app = make_app(redis_url=own_redis.url)
        portal, john = Portal(app.test_client(), services_of(app)), session_headers(7)
        added = portal.client.post(FLIGHTS, json=FLIGHT, headers=session_headers(1, "admin"))
        flight = json_of(added)["flight"]
        task = portal.run(john, booking(flight, 3))
        assert portal.seats_left(john, flight) == 97
        own_redis.kill()

        statuses = [
            portal.client.post(path(task, "/cancel"), headers=john).status_code for _ in range(2)
        ]

        assert statuses == [200, 200]
        assert portal.seats_left(john, flight) == 100
        assert [each["status"] for each in shown(portal.client, john)] == ["cancelled"]


class TestUnknown:
    def test_flight_that_does_not_exist_is_a_422_that_names_it(
        self, portal: Portal, john: Headers
    ) -> None:
        response = portal.client.post(TASKS, json=booking({"flightId": 999_999}), headers=john)

        assert problem_of(response) == (422, ["parameters.flightId"])
        assert portal.list(john) == []

    def test_cancellation_of_no_booking_is_a_422_that_names_it(
        self, portal: Portal, john: Headers, jane: Headers, flight: Json
    ) -> None:
        export = portal.create(john)
        of_jane = portal.run(jane, booking(flight))

        for task_id in (999_999, export["taskId"], of_jane["taskId"]):
            body = {"taskType": "booking_cancellation", "parameters": {"taskId": task_id}}
            response = portal.client.post(TASKS, json=body, headers=john)
            assert problem_of(response) == (422, ["parameters.taskId"])

    def test_refused_task_uses_up_no_idempotency_key(
        self, portal: Portal, john: Headers, admin: Headers
    ) -> None:
        headers = john | {"Idempotency-Key": "a-booking"}
        refused = portal.client.post(TASKS, json=booking({"flightId": 999_999}), headers=headers)
        added = portal.client.post(FLIGHTS, json=FLIGHT, headers=admin)

        accepted = portal.client.post(
            TASKS, json=booking(json_of(added)["flight"]), headers=headers
        )

        assert (refused.status_code, accepted.status_code) == (422, 202)


def test_bookings_of_a_day_are_those_requested_on_it(
    portal: Portal, john: Headers, flight: Json
) -> None:
    tasks = [portal.run(john, booking(flight)) for _ in range(3)]
    moments = ("2026-01-30T23:59:59.9", "2026-01-31T00:00:00", "2026-01-31T23:59:59.9")
    with portal.services.database.engine.begin() as connection:
        for task, moment in zip(tasks, moments, strict=True):
            created_at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
            connection.execute(
                update(Task).where(Task.id == task["taskId"]).values(created_at=created_at)
            )

    found = [each["bookingId"] for each in shown(portal.client, john, "date=2026-01-31")]

    assert found == [tasks[2]["taskId"], tasks[1]["taskId"]]
    assert shown(portal.client, john, "date=2026-02-01") == []
    assert len(shown(portal.client, john, "date=2026-01-30&status=confirmed")) == 1
    with portal.services.database.read() as tx:
        assert len(tx.scalars(select(Booking)).all()) == 3
