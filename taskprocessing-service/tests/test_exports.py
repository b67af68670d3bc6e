"""Tasks that write all tasks of a user to a file."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.exports.service import Exports
from app.models import FilePart, Task
from app.services import Services
from app.task_types import DATA_EXPORT
from common.pyportal_common.testing.kit import run_schedule

from .conftest import Headers, Portal, listening


@pytest.fixture
def one_task_a_part(services: Services) -> None:
    """Exports whose files have one task in each part."""
    exports = Exports(services.database, kept_for=timedelta(days=7), tasks_per_part=1)
    services.task_handlers.register(DATA_EXPORT, exports.write)


def test_file_has_the_users_own_older_tasks(portal: Portal, john: Headers, jane: Headers) -> None:
    older = [portal.create(john) for _ in range(3)]
    portal.create(jane)
    portal.run_tasks()
    task = portal.create(john)
    portal.create(john)
    portal.run_tasks()

    response = portal.file(john, task)

    assert response.status_code == 200
    assert response.mimetype == "application/jsonl"
    assert task["taskReference"] in response.headers["Content-Disposition"]
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert lines == [portal.show(john, one) for one in older]
    details = portal.show(john, task)["details"]
    assert (details["tasks"], details["bytes"]) == (3, len(response.data))


def test_file_of_another_user_is_a_404(
    portal: Portal, john: Headers, jane: Headers, admin: Headers
) -> None:
    task = portal.create(john)
    portal.run_tasks()

    assert portal.file(john, task).status_code == 200
    for headers in (jane, admin):
        assert portal.file(headers, task).status_code == 404


@pytest.mark.usefixtures("one_task_a_part")
def test_progress_grows_with_each_part(portal: Portal, john: Headers) -> None:
    for _ in range(4):
        portal.create(john)
    portal.run_tasks()
    task = portal.create(john)
    seen: list[int] = []

    def note_progress(*_: object) -> None:
        seen.append(portal.show(john, task)["progress"])

    with listening(FilePart, "after_insert", note_progress):
        portal.run_tasks()

    assert seen == [0, 25, 50, 75]
    assert portal.show(john, task)["progress"] == 100
    assert len(portal.file(john, task).text.splitlines()) == 4


@pytest.mark.usefixtures("one_task_a_part")
def test_an_attempt_that_ends_between_two_parts_leaves_none_of_them_twice(
    portal: Portal, john: Headers
) -> None:
    older = [portal.create(john) for _ in range(3)]
    portal.run_tasks()
    task = portal.create(john)

    def fail(_mapper: object, _connection: object, part: FilePart) -> None:
        if part.number == 2:
            raise RuntimeError("made for this test")

    with listening(FilePart, "before_insert", fail):
        portal.run_tasks()
    assert portal.show(john, task)["status"] == "pending"
    with portal.services.database.read() as tx:
        committed = tx.scalars(select(FilePart.number).where(FilePart.task_id == task["taskId"]))
        assert sorted(committed) == [0, 1]
    with portal.services.database.begin() as tx:
        tx.get_one(Task, task["taskId"]).due_at = datetime.now(UTC)
    portal.run_tasks()

    lines = [json.loads(line) for line in portal.file(john, task).text.splitlines()]
    assert lines == [portal.show(john, one) for one in older]


@pytest.mark.usefixtures("one_task_a_part")
def test_cancelled_export_stops_and_has_no_file(
    portal: Portal, john: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        portal.create(john)
    portal.run_tasks()
    task = portal.create(john)
    read = portal.services.database.read
    reads = 0

    def read_and_cancel() -> Any:
        nonlocal reads
        reads += 1
        if reads == 4:
            portal.post(john, task, "cancel")
        return read()

    monkeypatch.setattr(portal.services.database, "read", read_and_cancel)
    portal.run_tasks()
    monkeypatch.undo()

    assert portal.show(john, task)["status"] == "cancelled"
    assert 0 < portal.show(john, task)["progress"] < 100
    assert portal.file(john, task).status_code == 404


def test_user_without_older_tasks_gets_an_empty_file(portal: Portal, john: Headers) -> None:
    task = portal.create(john)
    portal.run_tasks()

    response = portal.file(john, task)

    assert (response.status_code, response.data) == (200, b"")


def test_deleted_file_is_a_410(portal: Portal, john: Headers) -> None:
    portal.create(john)
    task = portal.create(john)
    portal.run_tasks()
    run_schedule(portal.services, "delete-expired-exports")
    assert portal.file(john, task).status_code == 200
    with portal.services.database.begin() as tx:
        for part in tx.scalars(select(FilePart)):
            part.created_at = part.created_at.replace(year=2000)

    run_schedule(portal.services, "delete-expired-exports")

    assert portal.file(john, task).status_code == 410


def test_task_without_a_file_is_a_404(portal: Portal, john: Headers) -> None:
    assert portal.file(john, portal.create(john)).status_code == 404
