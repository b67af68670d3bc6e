"""The admin API: tasks of all users."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from app.models import Task
from common.pyportal_common.admin.api import acts
from common.pyportal_common.operations import selection
from common.pyportal_common.testing.kit import API, json_of, problem_of

from .conftest import TASKS, Headers, Json, Portal

JOBS = f"{API}/admin/jobs/tasks"
HOUR = timedelta(hours=1)
BAD_NARROWING = [
    ("since", "2w"),
    ("since", "2026-11-26T08:15"),
    ("since", "2026-11-26"),
    ("since", "0001-01-01T00:00:00Z"),
    ("until", "noon"),
    ("until", ""),
    ("until", "9999-12-31T23:59:59Z"),
    ("error", ""),
    ("error", " "),
    ("error", "a\nb"),
    ("error", "a\0b"),
    ("error", "x" * 201),
]
"""Fields of a filter, each with a value that is refused."""


class Admin:
    """An admin with a recent login."""

    def __init__(self, client: FlaskClient, headers: Headers) -> None:
        self._client, self._headers = client, headers

    def send(self, method: str, path: str, body: Any = None) -> TestResponse:
        """Any response."""
        return self._client.open(f"{JOBS}{path}", method=method, json=body, headers=self._headers)

    def get(self, path: str) -> Any:
        """What a GET shows."""
        found = self.send("GET", path)
        assert found.status_code == 200, found.text
        return json_of(found)

    def act(self, path: str, body: Json) -> Any:
        """What an act answers."""
        done = self.send("POST", path, body)
        assert done.status_code == 200, done.text
        return json_of(done)

    def ids(self, query: str = "") -> list[int]:
        """The ids of a page."""
        return [each["id"] for each in self.get(query)["items"]]


@pytest.fixture
def of_admin(client: FlaskClient, admin: Headers) -> Admin:
    return Admin(client, admin)


@pytest.fixture
def tasks(portal: Portal, john: Headers, jane: Headers) -> list[int]:
    """The ids of three tasks of John, and one of Jane."""
    return [portal.create(each)["taskId"] for each in (john, john, john, jane)]


def test_an_admin_sees_the_task_of_another_user_without_its_content(
    portal: Portal, of_admin: Admin, admin: Headers, john: Headers
) -> None:
    task = portal.create(john)

    shown = of_admin.get(f"/{task['taskId']}")

    assert (shown["userId"], shown["status"], shown["deliveries"]) == (7, "pending", None)
    assert {"parameters", "result"}.isdisjoint(shown)
    own = portal.client.get(f"{TASKS}/{task['taskId']}", headers=admin)
    assert own.status_code == 404


def test_tasks_are_filtered(of_admin: Admin, tasks: list[int], portal: Portal) -> None:
    newest_first = tasks[::-1]
    assert of_admin.ids() == newest_first
    assert of_admin.ids("?userId=7") == newest_first[1:]
    assert of_admin.ids("?status=failed") == []
    assert of_admin.ids("?status=pending&userId=8") == newest_first[:1]
    portal.run_tasks()
    assert of_admin.ids("?status=pending") == []


def set_failed(portal: Portal, task_id: int, *, hours: float, error: str = "It rains") -> None:
    """Make a task one that was created so long ago, and has failed."""
    values = {
        "status": "failed",
        "error": error,
        "due_at": None,
        "created_at": datetime.now(UTC) - hours * HOUR,
    }
    with portal.services.database.begin(changes_cached=False) as tx:
        tx.execute(
            update(Task).where(Task.id == task_id).values(**values),
            execution_options={"cache_keys": ()},
        )


@pytest.fixture
def failed(portal: Portal, tasks: list[int]) -> list[int]:
    """The tasks failed: created 5, 3 and 1 hours ago because of rain, and now because of snow."""
    for task_id, hours in zip(tasks, (5, 3, 1, 0), strict=True):
        set_failed(portal, task_id, hours=hours, error="It RAINS" if hours else "It snows")
    return tasks


def test_failed_tasks_are_filtered_by_time_and_error(of_admin: Admin, failed: list[int]) -> None:
    oldest, old, new, newest = failed
    at_two = quote((datetime.now(UTC) - 2 * HOUR).isoformat())

    assert of_admin.ids("?since=2h") == of_admin.ids(f"?since={at_two}") == [newest, new]
    assert of_admin.ids("?until=2h") == [old, oldest]
    assert of_admin.ids("?since=4h&until=30m&status=failed") == [new, old]
    assert of_admin.ids("?error=rains") == [new, old, oldest]
    assert of_admin.ids("?error=rains&since=4h&userId=7") == [new, old]
    assert of_admin.ids("?error=100%25") == []


@pytest.mark.parametrize(("field", "value"), BAD_NARROWING)
def test_a_wrong_time_or_text_is_refused(
    of_admin: Admin, failed: list[int], field: str, value: str
) -> None:
    assert problem_of(of_admin.send("GET", f"?{field}={quote(value)}")) == (422, [field])
    for act in ("/retry", "/cancel"):
        assert problem_of(of_admin.send("POST", act, {field: value})) == (422, [field])
    assert len(of_admin.ids("?status=failed")) == len(failed)


@pytest.mark.parametrize("value", [2, True, 1795680900, ["2h"]])
def test_a_time_or_text_of_another_type_is_refused(of_admin: Admin, value: Any) -> None:
    for field in ("since", "until", "error"):
        assert problem_of(of_admin.send("POST", "/retry", {field: value})) == (422, [field])


def test_an_act_has_the_filter_of_the_list(
    of_admin: Admin, failed: list[int], client: FlaskClient, admin: Headers
) -> None:
    since, until = (datetime.now(UTC) - 4 * HOUR).isoformat(), "30m"
    wanted = {"since": since, "until": until, "error": "rains"}
    before = datetime.now(UTC) - 0.5 * HOUR

    assert of_admin.act("/retry", wanted | {"dryRun": True})["count"] == 2
    assert of_admin.act("/retry", wanted)["count"] == 2

    assert of_admin.ids("?status=failed") == [failed[3], failed[0]]
    [entry] = json_of(client.get(f"{API}/admin/audit", headers=admin))["items"]
    recorded = entry["filter"].pop("until")
    assert entry["filter"] == {"since": since, "error": "rains"}
    assert abs(datetime.fromisoformat(recorded) - before) < timedelta(minutes=1)
    assert problem_of(of_admin.send("POST", "/retry", wanted | {"all": True})) == (422, ["all"])


def test_a_page_may_be_empty_and_have_a_next_one(
    of_admin: Admin, failed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_EXAMINED", 1)
    pages, cursor = [], ""

    while cursor is not None:
        response = of_admin.send(
            "GET", f"?status=failed&error=rains{cursor and f'&cursor={cursor}'}"
        )
        page = json_of(response)
        pages.append([each["id"] for each in page["items"]])
        cursor = page["next"]
        assert ("Link" in response.headers) == (cursor is not None)

    assert pages == [[], [failed[2]], [failed[1]], [failed[0]], []]
    assert of_admin.act("/retry", {"error": "rains"})["count"] == 3


def test_tasks_have_pages(of_admin: Admin, tasks: list[int]) -> None:
    response = of_admin.send("GET", "?limit=3&userId=7")
    assert json_of(response)["next"] is None
    first = of_admin.send("GET", "?limit=3")
    cursor = json_of(first)["next"]

    assert of_admin.ids(f"?limit=3&cursor={cursor}") == tasks[:1]
    assert f'jobs/tasks?limit=3&cursor={cursor}>; rel="next"' in first.headers["Link"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=nothing", "status"),
        ("status=", "status"),
        ("status=nothing&userId=7", "status"),
        ("userId=-1", "userId"),
        ("userId=x", "userId"),
        ("userId=1000000000000000000", "userId"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=-1", "cursor"),
    ],
)
def test_an_invalid_query_is_refused(of_admin: Admin, query: str, field: str) -> None:
    assert problem_of(of_admin.send("GET", f"?{query}")) == (422, [field])


def test_unknown_kinds_and_tasks_are_a_404(
    of_admin: Admin, client: FlaskClient, admin: Headers
) -> None:
    assert of_admin.send("GET", "/17").status_code == 404
    for method, path in (("GET", ""), ("GET", "/1"), ("POST", "/retry"), ("POST", "/cancel")):
        response = client.open(
            f"{API}/admin/jobs/nothing{path}", method=method, json={"all": True}, headers=admin
        )
        assert response.status_code == 404


def test_waiting_tasks_of_a_user_are_cancelled_and_retried(
    of_admin: Admin, tasks: list[int], portal: Portal
) -> None:
    dry = of_admin.act("/cancel", {"userId": 7, "dryRun": True})
    assert dry == {"count": 3, "left": 0, "dryRun": True}
    assert of_admin.ids("?status=cancelled") == []

    assert of_admin.act("/cancel", {"userId": 7})["count"] == 3
    assert of_admin.ids("?status=cancelled") == tasks[2::-1]
    assert of_admin.act("/retry", {"userId": 7})["count"] == 0  # none has failed
    again = of_admin.act("/retry", {"userId": 7, "status": "cancelled", "ids": tasks[:2]})

    assert again["count"] == 2
    entries = [
        (entry.actor, entry.action, entry.target, entry.count)
        for entry in portal.services.audit.page().items
    ]
    assert entries == [
        ("user=1", "jobs retry", "tasks", 2),
        ("user=1", "jobs cancel", "tasks", 3),
    ]


def test_an_act_ends_after_a_number_and_says_how_many_are_left(
    of_admin: Admin, tasks: list[int], portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts, "MOST_CHANGED", 3)
    body = {"all": True}

    assert of_admin.act("/cancel", body | {"dryRun": True})["left"] == 1
    assert of_admin.act("/cancel", body) == {"count": 3, "left": 1, "dryRun": False}
    assert of_admin.ids("?status=pending") == tasks[3:]
    assert of_admin.act("/cancel", body) == {"count": 1, "left": 0, "dryRun": False}

    counts = [entry.count for entry in portal.services.audit.page().items]
    assert counts == [1, 3]


def test_running_tasks_are_asked_to_end_once(
    of_admin: Admin, tasks: list[int], portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts, "MOST_CHANGED", 3)
    assert len(portal.services.jobs.claim(len(tasks))) == 4
    body = {"status": "processing"}

    answers = [of_admin.act("/cancel", body | {"dryRun": dry}) for dry in (True, False, True)]

    assert [(each["count"], each["left"]) for each in answers] == [(3, 1), (3, 1), (1, 0)]
    assert of_admin.act("/cancel", body) == {"count": 1, "left": 0, "dryRun": False}
    assert of_admin.act("/cancel", body)["count"] == 0
    assert all(of_admin.get(f"/{each}")["cancelRequestedAt"] for each in tasks)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "all"),
        ({"dryRun": True}, "all"),
        ({"all": True, "userId": 7}, "all"),
        ({"all": "yes"}, "all"),
        ({"dryRun": "no", "all": True}, "dryRun"),
        ({"status": "completed"}, "status"),
        ({"status": ""}, "status"),
        ({"status": 1}, "status"),
        ({"userId": "7"}, "userId"),
        ({"userId": -1}, "userId"),
        ({"ids": []}, "ids"),
        ({"ids": [1.5]}, "ids.0"),
        ({"ids": [1, -2]}, "ids.1"),
        ({"ids": list(range(1, 1002))}, "ids"),
        ({"user_id": 7}, "user_id"),
    ],
)
def test_an_invalid_act_is_refused(
    of_admin: Admin, tasks: list[int], body: Json, field: str
) -> None:
    for act in ("/retry", "/cancel"):
        assert problem_of(of_admin.send("POST", act, body)) == (422, [field])
    assert len(of_admin.ids("?status=pending")) == len(tasks)


def test_the_filter_is_in_the_audit_log(
    of_admin: Admin, tasks: list[int], client: FlaskClient, admin: Headers
) -> None:
    of_admin.act("/cancel", {"ids": tasks[:1], "userId": 7})

    [entry] = json_of(client.get(f"{API}/admin/audit", headers=admin))["items"]

    assert entry["filter"] == {"user_id": 7, "ids": tasks[:1]}
    assert json.dumps(entry["count"]) == "1"
