"""`Prefer: wait=20` on a task: its response comes when the task changes."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Semaphore
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import json_of, session_headers
from common.pyportal_common.web import LongPolls

from .conftest import TASKS, Headers, Json, MakeApp, Portal, services_of

Environ = dict[str, Any] | None
WAIT = {"Prefer": "wait=20"}
LONG = 15  # seconds: a request that took less was not answered because its time was up


class ObservedPolls(LongPolls):
    """Look often, and say when a request begins to wait."""

    def __init__(self) -> None:
        super().__init__(look_every=0.02)
        self.begun = Semaphore(0)
        self.before_look: Callable[[], None] = lambda: None

    def looks(self, seconds: float) -> Iterator[None]:
        self.begun.release()
        for _ in super().looks(seconds):
            self.before_look()
            yield


class Waiters:
    """Requests for a task in threads of their own."""

    def __init__(self, app: Flask, pool: ThreadPoolExecutor) -> None:
        self.polls = app.extensions["long_polls"] = ObservedPolls()
        self._app = app
        self._pool = pool

    def start(self, task: Json, headers: Headers, environ: Environ = None) -> Future[TestResponse]:
        """Send a request, and return once it waits."""
        response = self._pool.submit(self.get, task, headers | WAIT, environ)
        assert self.polls.begun.acquire(timeout=LONG)
        return response

    def get(self, task: Json, headers: Headers, environ: Environ = None) -> TestResponse:
        """The response to a request in this thread."""
        client = self._app.test_client(use_cookies=False)
        return client.get(
            f"{TASKS}/{task['taskId']}", headers=headers, environ_overrides=environ or {}
        )


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for requests."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def waiters(app: Flask, pool: ThreadPoolExecutor) -> Iterator[Waiters]:
    """Requests to `app`, all of which are answered in the end."""
    waiters = Waiters(app, pool)
    yield waiters
    waiters.polls.release()


class TestWaiting:
    def test_response_comes_when_the_task_changes(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        began = time.monotonic()
        response = waiters.start(task, john)

        portal.run_tasks()

        shown = response.result(LONG)
        assert time.monotonic() - began < LONG
        assert shown.headers["Preference-Applied"] == "wait=20"
        assert json_of(shown)["task"]["status"] in {"processing", "completed"}
        assert portal.show(john, task)["status"] == "completed"

    def test_cancellation_is_a_change(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        response = waiters.start(task, john)

        portal.post(john, task, "cancel")

        shown = response.result(LONG)
        assert json_of(shown)["task"]["status"] == "cancelled"
        assert "Retry-After" not in shown.headers

    @pytest.mark.parametrize("by_tag", [False, True])
    def test_without_a_change_it_comes_when_the_time_is_up(
        self, waiters: Waiters, portal: Portal, john: Headers, by_tag: bool
    ) -> None:
        task = portal.create(john)
        tag = {"If-None-Match": waiters.get(task, john).headers["ETag"]} if by_tag else {}
        began = time.monotonic()

        shown = waiters.get(task, john | tag | {"Prefer": "respond-async, wait=1"})

        assert time.monotonic() - began >= 1
        assert shown.status_code == (304 if by_tag else 200)
        assert shown.headers["Preference-Applied"] == "wait=1"
        assert "Retry-After" not in shown.headers

    def test_it_holds_no_connection_to_sql(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        portal.services.overrides_in_force.close()  # its thread reads once a second
        pool: Any = portal.services.database.engine.pool
        held: list[int] = []
        waiters.polls.before_look = lambda: held.append(pool.checkedout())

        shown = waiters.get(task, john | {"Prefer": "wait=1"})

        assert "Preference-Applied" in shown.headers
        assert set(held) == {0}

    @pytest.mark.parametrize(
        "prefer",
        ["WAIT=1", "wait = 1", 'wait="1"', 'x="a,b", wait=1;y=2', "return=minimal,wait=1, x"],
    )
    def test_preferences_may_be_written_in_other_ways(
        self,
        waiters: Waiters,
        portal: Portal,
        john: Headers,
        prefer: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        waits: list[float] = []

        def looks(seconds: float) -> list[None]:
            waits.append(seconds)
            return []

        monkeypatch.setattr(waiters.polls, "looks", looks)
        shown = waiters.get(portal.create(john), john | {"Prefer": prefer})

        assert waits == [1]
        assert shown.headers["Preference-Applied"] == "wait=1"

    def test_longest_wait_is_twenty_seconds(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        response = waiters._pool.submit(waiters.get, task, john | {"Prefer": 'wait="9999"'})
        assert waiters.polls.begun.acquire(timeout=LONG)

        portal.post(john, task, "cancel")

        assert response.result(LONG).headers["Preference-Applied"] == "wait=20"

    def test_task_of_another_user_is_a_404_at_once(
        self, waiters: Waiters, portal: Portal, john: Headers, jane: Headers
    ) -> None:
        assert waiters.get(portal.create(john), jane | WAIT).status_code == 404


class TestNotWaiting:
    def test_third_request_is_answered_at_once(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        waiting = [waiters.start(task, john) for _ in range(2)]

        third = waiters.get(task, john | WAIT)

        assert not any(response.done() for response in waiting)
        assert third.status_code == 200
        assert "Preference-Applied" not in third.headers
        assert third.headers["Retry-After"] == "1"
        portal.post(john, task, "cancel")
        for response in waiting:
            assert "Preference-Applied" in response.result(LONG).headers
        other = portal.create(john)
        waiters.start(other, john)  # there is a place again

    def test_task_that_has_ended_is_shown_at_once(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        portal.run_tasks()

        shown = waiters.get(task, john | WAIT)

        assert json_of(shown)["task"]["status"] == "completed"
        assert not waiters.polls.begun.acquire(blocking=False)
        assert "Retry-After" not in shown.headers

    def test_task_that_has_changed_since_the_clients_copy_is_shown_at_once(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        tag = waiters.get(task, john).headers["ETag"]
        [_] = portal.services.jobs.claim(1)

        shown = waiters.get(task, john | WAIT | {"If-None-Match": tag})

        assert json_of(shown)["task"]["status"] == "processing"
        assert not waiters.polls.begun.acquire(blocking=False)

    @pytest.mark.parametrize(
        "prefer",
        [
            *("wait", "wait=", "wait=0", "wait=-1", "wait=1.5", "await=20", "x=wait=20", "w" * 999),
            *(f"wait={'9' * 5000}", "wait=\xb2", "wait=20 1", "respond-async; wait=20", ", ;=,"),
            *('x=",wait=20,"', 'x="\\",wait=20,"', 'x=";wait=20"', 'wait="20'),
        ],
    )
    def test_other_preferences_are_ignored(
        self, waiters: Waiters, portal: Portal, john: Headers, prefer: str
    ) -> None:
        shown = waiters.get(portal.create(john), john | {"Prefer": prefer})

        assert shown.status_code == 200
        assert not waiters.polls.begun.acquire(blocking=False)

    def test_client_that_goes_away_leaves_its_place(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        began = time.monotonic()

        with ExitStack() as stack:
            for _ in range(2):
                server, client = socket.socketpair()
                stack.enter_context(server)
                response = waiters.start(task, john, {"gunicorn.socket": server})
                client.close()
                assert "Preference-Applied" not in response.result(LONG).headers

        assert time.monotonic() - began < LONG
        waiters.start(task, john)

    def test_client_that_sends_its_next_request_has_not_gone_away(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        server, client = socket.socketpair()
        with server, client:
            client.sendall(b"GET / HTTP/1.1")
            shown = waiters.get(
                portal.create(john), john | {"Prefer": "wait=1"}, {"gunicorn.socket": server}
            )

        assert shown.headers["Preference-Applied"] == "wait=1"

    def test_task_of_a_user_who_is_deleted_meanwhile_is_a_404(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        response = waiters.start(task, john)

        portal.services.tasks.anonymise(7)

        assert response.result(LONG).status_code == 404

    def test_session_that_has_ended_is_shown_no_change(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        response = waiters.start(task, john)

        portal.services.stores.sessions.revoke(john["Authorization"].removeprefix("Bearer "))
        portal.services.tasks.cancel(task["taskId"], user_id=7)

        shown = response.result(LONG)
        assert (shown.status_code, json_of(shown)["code"]) == (401, "session-ended")
        assert shown.headers["WWW-Authenticate"] == "Bearer"

    def test_process_that_ends_answers_all(
        self, waiters: Waiters, portal: Portal, john: Headers
    ) -> None:
        task = portal.create(john)
        waiting = [waiters.start(task, john) for _ in range(2)]

        waiters.polls.release()

        for shown in (*(each.result(LONG) for each in waiting), waiters.get(task, john | WAIT)):
            assert (shown.status_code, shown.headers["Retry-After"]) == (200, "1")
            assert "Preference-Applied" not in shown.headers


def test_without_the_cache_the_change_is_found_in_sql(
    make_app: MakeApp,
    pool: ThreadPoolExecutor,
    own_redis: RedisServer,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SESSION_REDIS_URL", f"{redis_server.url}/0")
    app = make_app(redis_url=own_redis.url)
    portal, john = Portal(app.test_client(), services_of(app)), session_headers(7)
    waiters = Waiters(app, pool)
    task = portal.create(john)
    response = waiters.start(task, john)

    own_redis.kill()
    portal.post(john, task, "cancel")

    shown = response.result(LONG)
    assert json_of(shown)["task"]["status"] == "cancelled"
    assert shown.headers["Preference-Applied"] == "wait=20"


def test_waiting_is_documented(portal: Portal) -> None:
    described = json_of(portal.client.get("/openapi.json"))["paths"][f"{TASKS}/{{task_id}}"]["get"]

    assert "Prefer" in {each["name"] for each in described["parameters"]}
    for status in ("200", "304"):
        headers = described["responses"][status]["headers"]
        assert not headers["Preference-Applied"]["required"]
