"""Tasks over HTTP, and what becomes of them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select
from werkzeug.test import TestResponse

from app import exports
from app.models import FilePart, Task
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit, get_redis_client
from common.pyportal_common.jobs import Cancelled, Run
from common.pyportal_common.redis_server import RedisServer, free_port

from .conftest import API, TASKS, logged_in, mine_of, work_off

Headers = dict[str, str]


def booking(flight: dict[str, Any], seats: int = 1, **more: Any) -> dict[str, Any]:
    """A body for POST /tasks."""
    parameters = {"flightId": flight["flightId"], "seats": seats}
    return {"taskType": "flight_booking", "parameters": parameters, **more}


EXPORT = {"taskType": "data_export", "parameters": {}}


def task_of(answer: TestResponse) -> dict[str, Any]:
    assert answer.json is not None, answer.text
    task: dict[str, Any] = answer.json["task"]
    return task


def items_of(answer: TestResponse) -> list[dict[str, Any]]:
    assert answer.json is not None, answer.text
    items: list[dict[str, Any]] = answer.json["items"]
    return items


@pytest.fixture
def ask(client: FlaskClient) -> Callable[..., dict[str, Any]]:
    """Has something done: ask(headers, body), the task as it is then."""

    def ask(headers: Headers, body: dict[str, Any]) -> dict[str, Any]:
        answer = client.post(TASKS, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return task_of(answer)

    return ask


@pytest.fixture
def look(client: FlaskClient) -> Callable[..., dict[str, Any]]:
    """Looks at a task of ask: look(headers, task)."""

    def look(headers: Headers, task: dict[str, Any]) -> dict[str, Any]:
        return task_of(client.get(f"{TASKS}/{task['taskId']}", headers=headers))

    return look


Ask = Callable[..., dict[str, Any]]


class TestCreate:
    def test_a_task_is_accepted_and_can_be_looked_at(
        self, client: FlaskClient, john: Headers, flight: dict[str, Any]
    ) -> None:
        answer = client.post(TASKS, json=booking(flight, priority="high"), headers=john)

        task = task_of(answer)
        assert answer.status_code == 202
        assert answer.headers["Location"] == f"{TASKS}/{task['taskId']}"
        assert answer.headers["Retry-After"] == "1"
        assert client.get(answer.headers["Location"], headers=john).json == {"task": task}
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

    def test_it_waits_in_the_queue_of_its_priority(self, ask: Ask, john: Headers) -> None:
        for priority in ("low", "normal", "high", "high"):
            ask(john, EXPORT | {"priority": priority})

        queues = get_redis_client(3)
        lengths = [
            queues.execute("LLEN", f"taskprocessing:tasks.{priority}")
            for priority in ("low", "normal", "high")
        ]
        assert lengths == [1, 1, 2]

    def test_nobody_gets_one_without_a_session(self, client: FlaskClient) -> None:
        assert client.post(TASKS, json=EXPORT).status_code == 401
        assert client.get(TASKS).status_code == 401
        assert client.get(f"{TASKS}/1").status_code == 401

    def test_an_unknown_type_is_a_422_that_lists_the_known_ones(
        self, client: FlaskClient, john: Headers
    ) -> None:
        answer = client.post(TASKS, json={"taskType": "x", "parameters": {}}, headers=john)

        assert answer.status_code == 422
        assert answer.json is not None
        assert answer.json["details"] == [
            {
                "field": "taskType",
                "message": "must be one of: flight_booking, booking_cancellation, data_export",
            }
        ]

    def test_every_wrong_field_is_named(self, client: FlaskClient, john: Headers) -> None:
        body = {
            "taskType": "flight_booking",
            "parameters": {"flightId": "1", "seats": 0, "more": 1},
            "priority": "at once",
        }

        answer = client.post(TASKS, json=body, headers=john)

        assert answer.status_code == 422
        assert answer.json is not None
        assert sorted(detail["field"] for detail in answer.json["details"]) == [
            "parameters.flightId",
            "parameters.more",
            "parameters.seats",
            "priority",
        ]

    def test_it_is_limited_by_user(self, make_app: Callable[..., Flask]) -> None:
        client = make_app(rate_limit_tasks=RateLimit("tasks", 2, 60)).test_client()
        john, jane = logged_in(7), logged_in(8)

        statuses = [client.post(TASKS, json=EXPORT, headers=john).status_code for _ in range(3)]

        assert statuses == [202, 202, 429]
        assert client.post(TASKS, json=EXPORT, headers=jane).status_code == 202

    def test_without_the_queue_it_is_accepted_and_sent_when_that_is_back(
        self, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QUEUE_REDIS_URL", f"redis://127.0.0.1:{free_port()}/3")
        app = make_app()
        client, john = app.test_client(), logged_in(7)

        answers = [client.post(TASKS, json=EXPORT, headers=john) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [202] * 3
        mine = mine_of(app)
        with mine.database.read() as tx:
            assert len(tx.scalars(select(Task).where(Task.send_at.is_not(None))).all()) == 3


class TestRead:
    def test_another_users_task_is_a_404(
        self, client: FlaskClient, ask: Ask, john: Headers, jane: Headers, admin: Headers
    ) -> None:
        task = ask(john, EXPORT)
        path = f"{TASKS}/{task['taskId']}"

        for headers in (jane, admin):
            assert client.get(path, headers=headers).status_code == 404
            assert client.get(f"{path}/file", headers=headers).status_code == 404
            assert client.post(f"{path}/cancel", headers=headers).status_code == 404
            assert client.post(f"{path}/retry", headers=headers).status_code == 404
        assert items_of(client.get(TASKS, headers=jane)) == []

    @pytest.mark.parametrize("task_id", ["0", "-1", "x", "9" * 30, "%00", "*", "1.0"])
    def test_what_is_no_id_is_a_404(self, client: FlaskClient, john: Headers, task_id: str) -> None:
        assert client.get(f"{TASKS}/{task_id}", headers=john).status_code == 404

    def test_who_has_the_newest_state_is_told_so(
        self, client: FlaskClient, mine: Services, ask: Ask, john: Headers
    ) -> None:
        path = f"{TASKS}/{ask(john, EXPORT)['taskId']}"
        tag = client.get(path, headers=john).headers["ETag"]

        unchanged = client.get(path, headers=john | {"If-None-Match": tag})
        assert (unchanged.status_code, unchanged.data) == (304, b"")
        assert unchanged.headers["ETag"] == tag

        work_off(mine)
        changed = client.get(path, headers=john | {"If-None-Match": tag})
        assert changed.status_code == 200
        assert task_of(changed)["status"] == "completed"

    def test_a_second_look_asks_no_sql(
        self, client: FlaskClient, mine: Services, ask: Ask, john: Headers
    ) -> None:
        path = f"{TASKS}/{ask(john, EXPORT)['taskId']}"
        answers = [client.get(url, headers=john).data for url in (path, TASKS)]
        asked: list[str] = []
        event.listen(
            mine.database.engine, "before_cursor_execute", lambda *given: asked.append(given[2])
        )

        assert [client.get(url, headers=john).data for url in (path, TASKS)] == answers
        assert asked == []

    def test_redis_holds_the_task_and_the_users_tasks(
        self, client: FlaskClient, ask: Ask, john: Headers
    ) -> None:
        task = ask(john, EXPORT)
        client.get(f"{TASKS}/{task['taskId']}", headers=john)
        client.get(TASKS, headers=john)

        tasks_db = get_redis_client(1)
        assert tasks_db.get_json(f"booking:{task['taskId']}") == task
        assert tasks_db.get_json("user:bookings:7") == [task]
        assert 0 < tasks_db.ttl("user:bookings:7") <= 3600


class TestList:
    def test_the_newest_come_first_in_pages(
        self, client: FlaskClient, ask: Ask, john: Headers, jane: Headers
    ) -> None:
        made = [ask(john, EXPORT)["taskId"] for _ in range(51)]
        ask(jane, EXPORT)

        first = client.get(TASKS, headers=john).json
        assert first is not None
        second = client.get(f"{TASKS}?cursor={first['next']}", headers=john).json
        assert second is not None

        shown = [task["taskId"] for task in first["items"] + second["items"]]
        assert shown == made[::-1]
        assert second["next"] is None

    def test_by_status(self, client: FlaskClient, mine: Services, ask: Ask, john: Headers) -> None:
        done = ask(john, EXPORT)
        work_off(mine)
        waiting = ask(john, EXPORT)

        def ids(status: str) -> list[int]:
            answer = client.get(f"{TASKS}?status={status}", headers=john)
            return [task["taskId"] for task in items_of(answer)]

        assert ids("completed") == [done["taskId"]]
        assert ids("pending") == [waiting["taskId"]]
        assert ids("failed") == []

    @pytest.mark.parametrize(
        "question",
        ["status=done", "cursor=x", "cursor=0", "cursor=-1", "page=2", "cursor=1&cursor=2"],
    )
    def test_a_wrong_question_is_a_422(
        self, client: FlaskClient, john: Headers, question: str
    ) -> None:
        assert client.get(f"{TASKS}?{question}", headers=john).status_code == 422

    def test_every_change_is_seen_at_once(
        self, client: FlaskClient, mine: Services, ask: Ask, john: Headers
    ) -> None:
        for _ in range(3):
            before = len(items_of(client.get(TASKS, headers=john)))
            ask(john, EXPORT)
            assert len(items_of(client.get(TASKS, headers=john))) == before + 1
            work_off(mine)
            assert items_of(client.get(TASKS, headers=john))[0]["status"] == "completed"


class TestCancel:
    def test_a_waiting_one_is_cancelled_at_once(
        self, client: FlaskClient, mine: Services, ask: Ask, look: Ask, john: Headers
    ) -> None:
        task = ask(john, EXPORT)

        answer = client.post(f"{TASKS}/{task['taskId']}/cancel", headers=john)

        assert answer.status_code == 202
        assert task_of(answer)["status"] == "cancelled"
        work_off(mine)
        assert look(john, task)["status"] == "cancelled"
        assert look(john, task)["attempts"] == 0

    def test_it_can_be_said_twice(self, client: FlaskClient, ask: Ask, john: Headers) -> None:
        path = f"{TASKS}/{ask(john, EXPORT)['taskId']}/cancel"

        answers = [client.post(path, headers=john) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [202, 202]
        assert answers[0].data == answers[1].data

    def test_a_running_one_ends_at_its_next_checkpoint(
        self, client: FlaskClient, mine: Services, ask: Ask, john: Headers
    ) -> None:
        task = ask(john, EXPORT)
        claim = mine.jobs.claim(task["taskId"])
        assert claim is not None

        answer = client.post(f"{TASKS}/{task['taskId']}/cancel", headers=john)

        assert answer.status_code == 202
        assert task_of(answer)["status"] == "processing"
        assert task_of(answer)["cancelRequestedAt"] is not None
        with pytest.raises(Cancelled):
            Run(mine.jobs, claim).checkpoint()

    def test_what_has_ended_is_a_409(
        self, client: FlaskClient, mine: Services, ask: Ask, john: Headers
    ) -> None:
        task = ask(john, EXPORT)
        work_off(mine)

        answer = client.post(f"{TASKS}/{task['taskId']}/cancel", headers=john)

        assert answer.status_code == 409


class TestRetry:
    def test_a_failed_one_begins_anew(
        self,
        client: FlaskClient,
        mine: Services,
        ask: Ask,
        look: Ask,
        john: Headers,
        admin: Headers,
        flight: dict[str, Any],
    ) -> None:
        path = f"{API}/flights/{flight['flightId']}"
        client.patch(path, json={"totalSeats": 1}, headers=admin)
        task = ask(john, booking(flight, seats=2))
        work_off(mine)
        assert look(john, task)["status"] == "failed"

        client.patch(path, json={"totalSeats": 2}, headers=admin)
        answer = client.post(f"{TASKS}/{task['taskId']}/retry", headers=john)

        assert answer.status_code == 202
        again = task_of(answer)
        assert (again["status"], again["attempts"], again["error"]) == ("pending", 0, None)
        work_off(mine)
        assert look(john, task)["status"] == "completed"

    def test_a_cancelled_one_too(
        self, client: FlaskClient, mine: Services, ask: Ask, look: Ask, john: Headers
    ) -> None:
        task = ask(john, EXPORT)
        client.post(f"{TASKS}/{task['taskId']}/cancel", headers=john)

        assert client.post(f"{TASKS}/{task['taskId']}/retry", headers=john).status_code == 202

        work_off(mine)
        assert look(john, task)["status"] == "completed"

    def test_another_is_a_409(
        self, client: FlaskClient, mine: Services, ask: Ask, john: Headers
    ) -> None:
        path = f"{TASKS}/{ask(john, EXPORT)['taskId']}/retry"

        assert client.post(path, headers=john).status_code == 409
        work_off(mine)
        assert client.post(path, headers=john).status_code == 409


class TestExport:
    def test_the_file_has_all_tasks_before_it_and_only_ones_own(
        self,
        client: FlaskClient,
        mine: Services,
        ask: Ask,
        look: Ask,
        john: Headers,
        jane: Headers,
    ) -> None:
        older = [ask(john, EXPORT) for _ in range(3)]
        ask(jane, EXPORT)
        work_off(mine)
        task = ask(john, EXPORT)
        ask(john, EXPORT)
        work_off(mine)

        answer = client.get(f"{TASKS}/{task['taskId']}/file", headers=john)

        assert answer.status_code == 200
        assert answer.mimetype == "application/jsonl"
        assert task["taskReference"] in answer.headers["Content-Disposition"]
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert lines == [look(john, one) for one in older]
        details = look(john, task)["details"]
        assert (details["tasks"], details["bytes"]) == (3, len(answer.data))

    def test_progress_is_that_of_the_work(
        self,
        mine: Services,
        ask: Ask,
        look: Ask,
        john: Headers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("app.exports._PART", 1)
        for _ in range(4):
            ask(john, EXPORT | {"priority": "low"})
        work_off(mine)
        task = ask(john, EXPORT)
        seen: list[int] = []

        def note(*_: object) -> None:
            seen.append(look(john, task)["progress"])

        event.listen(FilePart, "after_insert", note)
        try:
            work_off(mine)
        finally:
            event.remove(FilePart, "after_insert", note)

        assert seen == [0, 25, 50, 75]
        assert look(john, task)["progress"] == 100

    def test_a_cancelled_export_stops_and_leaves_no_file_to_download(
        self,
        client: FlaskClient,
        mine: Services,
        ask: Ask,
        look: Ask,
        john: Headers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("app.exports._PART", 1)
        for _ in range(4):
            ask(john, EXPORT)
        work_off(mine)
        task = ask(john, EXPORT)
        path = f"{TASKS}/{task['taskId']}"
        read = mine.database.read
        reads = 0

        def read_and_cancel() -> Any:
            nonlocal reads
            reads += 1
            if reads == 4:
                client.post(f"{path}/cancel", headers=john)
            return read()

        monkeypatch.setattr(mine.database, "read", read_and_cancel)
        work_off(mine)
        monkeypatch.undo()

        assert look(john, task)["status"] == "cancelled"
        assert 0 < look(john, task)["progress"] < 100
        assert client.get(f"{path}/file", headers=john).status_code == 404

    def test_an_empty_one_is_an_empty_file(
        self, client: FlaskClient, mine: Services, ask: Ask, john: Headers
    ) -> None:
        task = ask(john, EXPORT)
        work_off(mine)

        answer = client.get(f"{TASKS}/{task['taskId']}/file", headers=john)

        assert (answer.status_code, answer.data) == (200, b"")

    def test_what_is_not_kept_any_more_is_a_410(
        self, client: FlaskClient, mine: Services, ask: Ask, john: Headers
    ) -> None:
        ask(john, EXPORT)
        task = ask(john, EXPORT)
        work_off(mine)
        with mine.database.begin() as tx:
            for part in tx.scalars(select(FilePart)):
                part.created_at = part.created_at.replace(year=2000)
        exports.forget_old(mine)

        answer = client.get(f"{TASKS}/{task['taskId']}/file", headers=john)

        assert answer.status_code == 410

    def test_a_task_without_a_file_is_a_404(
        self, client: FlaskClient, ask: Ask, john: Headers
    ) -> None:
        task = ask(john, EXPORT)  # it waits still

        assert client.get(f"{TASKS}/{task['taskId']}/file", headers=john).status_code == 404


class TestOutage:
    def test_without_redis_who_asks_is_unknown_and_it_is_a_503(
        self, make_app: Callable[..., Flask], own_redis: RedisServer
    ) -> None:
        client = make_app(redis_url=own_redis.url).test_client()
        john = logged_in(7)
        own_redis.kill()

        answer = client.post(TASKS, json=EXPORT, headers=john)

        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "2"

    def test_without_the_cache_tasks_are_read_from_sql(
        self,
        make_app: Callable[..., Flask],
        own_redis: RedisServer,
        redis_server: RedisServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SESSION_REDIS_URL", f"{redis_server.url}/0")
        app = make_app(redis_url=own_redis.url)
        client, john = app.test_client(), logged_in(7)
        task = task_of(client.post(TASKS, json=EXPORT, headers=john))
        own_redis.kill()

        answer = client.get(f"{TASKS}/{task['taskId']}", headers=john)

        assert task_of(answer) == task
        assert client.post(TASKS, json=EXPORT, headers=john).status_code == 202
        work_off(mine_of(app))
        seen = task_of(client.get(f"{TASKS}/{task['taskId']}", headers=john))
        assert seen["status"] == "completed"
