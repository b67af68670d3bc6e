"""Tasks: what users want done, and what becomes of it. No HTTP here."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.db import Database, Transaction, violated_columns
from common.pyportal_common.jobs import Run

from .errors import IdempotencyKeyReused, TaskNotFound
from .models import Booking, Event, FilePart, Task
from .redis_helper import BookingRedisHelper
from .schemas import NewTask, TaskView
from .services import Services
from .task_types import TASK_TYPES

PAGE = 50  # tasks
NOBODY = 0  # whose the tasks of a deleted user are
_AT_ONCE = 500  # tasks of one transaction
_KEY_LIVES = timedelta(hours=24)
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that is taken for another


def create(
    new: NewTask, *, user_id: int, idempotency_key: str | None, mine: Services
) -> dict[str, Any]:
    """Take a task on, and return it as the API shows it. When it returns, it is on the disk.

    With the key of an earlier task of the same user, of the last 24 hours, that one. Raises
    IdempotencyKeyReused where the two differ.
    """
    task = Task(
        reference=_reference(),
        user_id=user_id,
        task_type=new.task_type,
        parameters=new.parameters,
        details={},
        priority=new.priority,
        progress=0,
        attempts=0,
        idempotency_key=idempotency_key,
    )
    try:
        with mine.database.begin() as tx:
            if idempotency_key is not None:
                _free_old_key(tx, user_id, idempotency_key)
            mine.jobs.put(tx, task)
    except IntegrityError as error:
        if not violated_columns(error, ["idempotency_key"]):
            raise
        return _earlier(new, user_id, idempotency_key, database=mine.database)
    mine.send(task)
    return view(task)


def find(
    task_id: int, *, user_id: int, database: Database, redis_helper: BookingRedisHelper
) -> dict[str, Any]:
    """A task of the user as the API shows it, by the cache if it can. Raises TaskNotFound."""

    def load() -> dict[str, Any] | None:
        with database.read() as tx:
            task = tx.get(Task, task_id)
        return None if task is None else view(task)

    task = redis_helper.get_or_load_booking(task_id, load)
    if task is None or task["userId"] != user_id:
        raise TaskNotFound
    return task


def page(
    *,
    user_id: int,
    status: str | None,
    before: int | None,
    database: Database,
    redis_helper: BookingRedisHelper,
) -> tuple[list[dict[str, Any]], int | None]:
    """The user's newest tasks with smaller ids than `before`, and the id that the next page is
    before. The first page of all is cached.
    """

    def load() -> list[dict[str, Any]]:
        wanted = select(Task).where(Task.user_id == user_id)
        if status is not None:
            wanted = wanted.where(Task.status == status)
        if before is not None:
            wanted = wanted.where(Task.id < before)
        with database.read() as tx:
            rows = tx.scalars(wanted.order_by(Task.id.desc()).limit(PAGE + 1)).all()
        return [view(task) for task in rows]

    if status is None and before is None:
        found = redis_helper.get_or_load_user_bookings(user_id, load)
    else:
        found = load()
    shown = found[:PAGE]
    return shown, shown[-1]["taskId"] if len(found) > PAGE else None


def cancel(task_id: int, *, user_id: int, mine: Services) -> dict[str, Any]:
    """Cancel a task: at once while it waits, else at its next checkpoint. As the API shows it.

    Raises TaskNotFound, and JobEnded for one that is completed or has failed.
    """
    with mine.database.begin() as tx:
        task = locked(tx, task_id, user_id)
        mine.jobs.cancel(task)
    return view(task)


def retry(task_id: int, *, user_id: int, mine: Services) -> dict[str, Any]:
    """Let a task begin anew that failed or was cancelled. As the API shows it.

    Raises TaskNotFound and JobNotEnded.
    """
    with mine.database.begin() as tx:
        task = locked(tx, task_id, user_id)
        mine.jobs.retry(task)
        task.details = {}
    mine.send(task)
    return view(task)


def anonymise(user_id: int, *, mine: Services) -> None:
    """Forget whose the tasks of a user are, cancel what has not ended, and remove their files."""
    while _anonymise_some(user_id, mine=mine):
        pass
    with mine.database.begin() as tx:
        for event in tx.scalars(
            select(Event)
            .where(Event.send_at.is_not(None), Event.body["userId"].as_integer() == user_id)
            .with_for_update()
        ):
            event.body = {}
            mine.events.cancel(event)


def _anonymise_some(user_id: int, *, mine: Services) -> int:
    with mine.database.begin() as tx:
        found = tx.scalars(
            select(Task).where(Task.user_id == user_id).limit(_AT_ONCE).with_for_update()
        ).all()
        ids = [task.id for task in found]
        for task in found:
            task.user_id, task.idempotency_key = NOBODY, None
            if not task.has_ended:
                mine.jobs.cancel(task)
        tx.execute(delete(FilePart).where(FilePart.task_id.in_(ids)))
        tx.execute(update(Booking).where(Booking.task_id.in_(ids)).values(user_id=NOBODY))
    return len(found)


def row_of(task_id: int, *, user_id: int, database: Database) -> Task:
    """A task of the user, from SQL. Raises TaskNotFound."""
    with database.read() as tx:
        task = tx.get(Task, task_id)
    if task is None or task.user_id != user_id:
        raise TaskNotFound
    return task


def perform(run: Run[Task], mine: Services) -> None:
    """Do a task, as its type says."""
    task_type = TASK_TYPES[run.job.task_type]
    parameters = task_type.parameters.model_validate(run.job.parameters)
    task_type.do(run, parameters, mine)


def locked(tx: Transaction, task_id: int, user_id: int) -> Task:
    """A task of the user, which nobody else changes until this transaction ends."""
    task = tx.scalar(
        select(Task).where(Task.id == task_id, Task.user_id == user_id).with_for_update()
    )
    if task is None:
        raise TaskNotFound
    return task


def view(task: Task) -> dict[str, Any]:
    """The task as the API shows it."""
    return TaskView.model_validate(task).model_dump(mode="json")


def _reference() -> str:
    return "TASK-" + "".join(secrets.choice(_LETTERS) for _ in range(10))


def _free_old_key(tx: Transaction, user_id: int, idempotency_key: str) -> None:
    tx.execute(
        update(Task)
        .where(
            Task.user_id == user_id,
            Task.idempotency_key == idempotency_key,
            Task.created_at < datetime.now(UTC) - _KEY_LIVES,
        )
        .values(idempotency_key=None),
        execution_options={"cache_keys": (), "synchronize_session": False},
    )


def _earlier(
    new: NewTask, user_id: int, idempotency_key: str | None, *, database: Database
) -> dict[str, Any]:
    with database.read() as tx:
        task = tx.scalars(
            select(Task).where(Task.user_id == user_id, Task.idempotency_key == idempotency_key)
        ).one()
    if (task.task_type, task.parameters, task.priority) != (
        new.task_type,
        new.parameters,
        new.priority,
    ):
        raise IdempotencyKeyReused
    return view(task)
