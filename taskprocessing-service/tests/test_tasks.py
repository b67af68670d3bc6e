"""Tasks over HTTP, and the states they go through."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.models import Task
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit, RedisSettings, get_redis_client
from common.pyportal_common.jobs import Hints, Outcome, Run
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.kit import json_of, session_headers, statements_of

from .conftest import EXPORT, FLIGHTS, TASKS, Headers, Json, MakeApp, Portal, booking, services_of


class TestCreate:
    def test_task_is_accepted_and_can_be_polled(
        self, client: FlaskClient, john: Headers, flight: Json
    ) -> None:
        response = client.post(TASKS, json=booking(flight, priority="high"), headers=john)

        task = json_of(response)["task"]
        assert response.status_code == 202
        assert response.headers["Location"] == f"{TASKS}/{task['taskId']}"
        assert response.headers["Retry-After"] == "1"
        assert client.get(response.headers["Location"], headers=john).json == {"task": task}
        assert task == {
            **task,
            "userId": 7,
            "taskType": "flight_booking",
            "status": "pending",
            "progress": 0,
            "priority": "high",
            "parameters": {"flightId": flight["flightId"], "seats": 1},
            "details": {},
            "error": None,
            "attempts": 0,
            "startedAt": None,
            "finishedAt": None,
        }
        assert task["taskReference"].startswith("TASK-")

    def test_another_users_task_comes_before_the_third_of_many(
        self, portal: Portal, services: Services, john: Headers, jane: Headers
    ) -> None:
        many = [portal.create(john)["taskId"] for _ in range(3)]
        only = portal.create(jane)["taskId"]

        order = [services.jobs.claim(1)[0].row.id for _ in range(4)]

        assert order == [many[0], only, *many[1:]]

    def test_tasks_require_a_session(self, client: FlaskClient) -> None:
        assert client.post(TASKS, json=EXPORT).status_code == 401
        assert client.get(TASKS).status_code == 401
        assert client.get(f"{TASKS}/1").status_code == 401

    def test_unknown_type_is_a_422_that_lists_the_known_ones(
        self, client: FlaskClient, john: Headers
    ) -> None:
        response = client.post(TASKS, json={"taskType": "x", "parameters": {}}, headers=john)

        assert response.status_code == 422
        message = "Must be one of: flight_booking, booking_cancellation, data_export"
        assert json_of(response)["details"] == [{"field": "taskType", "message": message}]

    def test_every_invalid_field_is_named(self, client: FlaskClient, john: Headers) -> None:
        parameters = {"flightId": "1", "seats": 0, "more": 1}
        body = {"taskType": "flight_booking", "parameters": parameters, "priority": "at once"}

        response = client.post(TASKS, json=body, headers=john)

        assert response.status_code == 422
        assert sorted(detail["field"] for detail in json_of(response)["details"]) == [
            "parameters.flightId",
            "parameters.more",
            "parameters.seats",
            "priority",
        ]

    def test_third_task_of_a_user_over_a_limit_of_two_is_refused(self, make_app: MakeApp) -> None:
        client = make_app(rate_limit_tasks=RateLimit("tasks", 2, 60)).test_client()
        john, jane = session_headers(7), session_headers(8)

        statuses = [client.post(TASKS, json=EXPORT, headers=john).status_code for _ in range(3)]

        assert statuses == [202, 202, 429]
        assert client.post(TASKS, json=EXPORT, headers=jane).status_code == 202

    def test_without_hints_tasks_are_accepted(
        self, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = make_app()
        client, john = app.test_client(), session_headers(7)
        nowhere = RedisSettings.load(url=f"redis://127.0.0.1:{free_port()}", _env_file=None)
        monkeypatch.setattr(services_of(app).jobs, "_hints", Hints.at(nowhere, 1))

        statuses = [client.post(TASKS, json=EXPORT, headers=john).status_code for _ in range(3)]

        assert statuses == [202] * 3
        with services_of(app).database.read() as tx:
            assert len(tx.scalars(select(Task).where(Task.turn.is_not(None))).all()) == 3


class TestRead:
    def test_task_of_another_user_is_a_404_also_for_admins(
        self, portal: Portal, john: Headers, jane: Headers, admin: Headers
    ) -> None:
        task = portal.create(john)

        for headers in (jane, admin):
            path = f"{TASKS}/{task['taskId']}"
            assert portal.client.get(path, headers=headers).status_code == 404
            assert portal.file(headers, task).status_code == 404
            assert portal.post(headers, task, "cancel").status_code == 404
            assert portal.post(headers, task, "retry").status_code == 404
        assert portal.list(jane) == []

    def test_current_etag_is_a_304_until_the_task_changes(
        self, portal: Portal, john: Headers
    ) -> None:
        path = f"{TASKS}/{portal.create(john)['taskId']}"
        tag = portal.client.get(path, headers=john).headers["ETag"]

        unchanged = portal.client.get(path, headers=john | {"If-None-Match": tag})
        portal.run_tasks()
        changed = portal.client.get(path, headers=john | {"If-None-Match": tag})

        assert (unchanged.status_code, unchanged.data) == (304, b"")
        assert unchanged.headers["ETag"] == tag
        assert changed.status_code == 200
        assert json_of(changed)["task"]["status"] == "completed"

    def test_second_read_executes_no_sql(self, portal: Portal, john: Headers) -> None:
        paths = (f"{TASKS}/{portal.create(john)['taskId']}", TASKS)
        bodies = [portal.client.get(path, headers=john).data for path in paths]
        statements = statements_of(portal.services.database)

        assert [portal.client.get(path, headers=john).data for path in paths] == bodies
        assert statements == []

    def test_redis_has_the_task_and_the_tasks_of_the_user(
        self, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        portal.show(john, task)
        portal.list(john)

        tasks_db = get_redis_client(1)
        assert tasks_db.get_json(f"booking:{task['taskId']}") == task
        assert tasks_db.get_json("user:bookings:7") == [task]
        assert 0 < tasks_db.ttl("user:bookings:7") <= 3600


class TestList:
    def test_newest_come_first_in_pages(self, portal: Portal, john: Headers, jane: Headers) -> None:
        ids = [portal.create(john)["taskId"] for _ in range(51)]
        portal.create(jane)

        first = json_of(portal.client.get(TASKS, headers=john))
        second = json_of(portal.client.get(f"{TASKS}?cursor={first['next']}", headers=john))

        assert [task["taskId"] for task in first["items"] + second["items"]] == ids[::-1]
        assert len(first["items"]) == 50
        assert second["next"] is None

    def test_filter_by_status(self, portal: Portal, john: Headers) -> None:
        portal.create(john)
        portal.run_tasks()
        completed = portal.list(john)
        pending = portal.create(john)

        assert portal.list(john, "status=completed") == completed
        assert portal.list(john, "status=pending") == [pending]
        assert portal.list(john, "status=failed") == []

    @pytest.mark.parametrize(
        "query", ["status=done", "cursor=x", "cursor=0", "cursor=-1", "page=2", "cursor=1&cursor=2"]
    )
    def test_invalid_query_is_a_422(self, client: FlaskClient, john: Headers, query: str) -> None:
        assert client.get(f"{TASKS}?{query}", headers=john).status_code == 422

    def test_every_change_is_visible_at_once(self, portal: Portal, john: Headers) -> None:
        for count in range(3):
            assert len(portal.list(john)) == count
            portal.create(john)
            assert len(portal.list(john)) == count + 1
            portal.run_tasks()
            assert portal.list(john)[0]["status"] == "completed"


class TestCancel:
    def test_pending_task_is_cancelled_at_once(self, portal: Portal, john: Headers) -> None:
        task = portal.create(john)

        responses = [portal.post(john, task, "cancel") for _ in range(2)]

        assert [response.status_code for response in responses] == [202, 202]
        assert responses[0].data == responses[1].data
        assert json_of(responses[0])["task"]["status"] == "cancelled"
        portal.run_tasks()
        assert portal.show(john, task)["status"] == "cancelled"
        assert portal.show(john, task)["attempts"] == 0

    def test_running_task_is_cancelled_at_its_next_step(
        self, portal: Portal, services: Services, john: Headers
    ) -> None:
        task = portal.create(john)
        [claim] = services.jobs.claim(1)

        response = portal.post(john, task, "cancel")

        assert response.status_code == 202
        assert json_of(response)["task"]["status"] == "processing"
        assert json_of(response)["task"]["cancelRequestedAt"] is not None
        with pytest.raises(Outcome) as raised, Run(services.jobs, claim).transaction():
            pass
        assert raised.value.name == "cancelled"

    def test_completed_task_is_a_409(self, portal: Portal, john: Headers) -> None:
        task = portal.create(john)
        portal.run_tasks()

        assert portal.post(john, task, "cancel").status_code == 409


class TestRetry:
    def test_failed_task_runs_again(
        self, portal: Portal, john: Headers, admin: Headers, flight: Json
    ) -> None:
        def set_seats(seats: int) -> None:
            path = f"{FLIGHTS}/{flight['flightId']}"
            portal.client.patch(path, json={"totalSeats": seats}, headers=admin)

        set_seats(1)
        task = portal.run(john, booking(flight, seats=2))
        assert task["status"] == "failed"
        set_seats(2)

        response = portal.post(john, task, "retry")

        assert response.status_code == 202
        again = json_of(response)["task"]
        assert (again["status"], again["attempts"], again["error"]) == ("pending", 0, None)
        portal.run_tasks()
        assert portal.show(john, task)["status"] == "completed"

    def test_cancelled_task_runs_again(self, portal: Portal, john: Headers) -> None:
        task = portal.create(john)
        portal.post(john, task, "cancel")

        assert portal.post(john, task, "retry").status_code == 202

        portal.run_tasks()
        assert portal.show(john, task)["status"] == "completed"

    def test_pending_or_completed_task_is_a_409(self, portal: Portal, john: Headers) -> None:
        task = portal.create(john)

        assert portal.post(john, task, "retry").status_code == 409
        portal.run_tasks()
        assert portal.post(john, task, "retry").status_code == 409


class TestOutage:
    def test_without_the_cache_tasks_are_read_from_sql(
        self,
        make_app: MakeApp,
        own_redis: RedisServer,
        redis_server: RedisServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SESSION_REDIS_URL", f"{redis_server.url}/0")
        app = make_app(redis_url=own_redis.url)
        portal, john = Portal(app.test_client(), services_of(app)), session_headers(7)
        task = portal.create(john)
        own_redis.kill()

        assert portal.show(john, task) == task
        portal.create(john)
        portal.run_tasks()
        assert portal.show(john, task)["status"] == "completed"
