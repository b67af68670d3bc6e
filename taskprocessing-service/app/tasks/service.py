"""Tasks: create, read, cancel, retry, anonymise, delete."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import delete, exists, or_, select, update

from common.pyportal_common.cache_handlers import Cache, DocumentArray, JsonValue, Policy, keys
from common.pyportal_common.db import NO_KEY, Database, IdempotencyKey, Transaction, forget_user
from common.pyportal_common.db.batches import delete_created_before
from common.pyportal_common.db.consistency import CacheKind
from common.pyportal_common.jobs import Jobs

from ..errors import TaskHasBooking, TaskNotFound, UnknownParameter
from ..filters import created_on, equal_to
from ..models import Booking, FilePart, Flight, Task
from ..outbox import Outbox
from ..task_types import BOOKING_CANCELLATION, DATA_EXPORT, FLIGHT_BOOKING
from .schemas import CACHED_TASK, NewTask, TaskSearch, TaskView

# An hour in total. In its last five minutes, one reader refreshes the value for all others.
_CACHING = Policy(ttl=3300, stale_for=300, shape=CACHED_TASK.document)
_LIST_CACHING = replace(_CACHING, shape=DocumentArray(CACHED_TASK.document))
_FIRST_PAGE = TaskSearch()
_DELETED_USER = 0
_ANONYMISED_AT_ONCE = 500  # tasks of one transaction
_REFERENCE_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without look-alikes


class Tasks:
    """The tasks of all users, which are deleted `kept_for` after their end.

    Exports are kept for `exports_kept_for` at least.
    Tasks are returned as the API shows them.
    """

    def __init__(
        self,
        database: Database,
        jobs: Jobs[Task],
        cache: Cache,
        outbox: Outbox,
        *,
        kept_for: timedelta,
        exports_kept_for: timedelta,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._cache = cache
        self._outbox = outbox
        self._kept_for = kept_for
        self._exports_kept_for = exports_kept_for

    def create(self, new: NewTask, *, user_id: int, key: IdempotencyKey = NO_KEY) -> dict[str, Any]:
        """Store a task durably, and wake a worker. Raises UnknownParameter."""
        task = Task(
            **new.model_dump(),
            reference="TASK-" + "".join(secrets.choice(_REFERENCE_LETTERS) for _ in range(10)),
            user_id=user_id,
        )
        with self._database.begin() as tx, key.claim(tx) as keep:
            _refuse_unknown(tx, task)
            self._jobs.put(tx, task)
            tx.flush()  # for the id
            keep(_view(task))
        self._jobs.wake_workers()
        return _view(task)

    def find(self, task_id: int, *, user_id: int) -> JsonValue:
        """Return a task of the user, from the cache if possible. Raises TaskNotFound."""
        load = partial(self._load, task_id)
        task = self._cache.find(keys.booking(task_id), load, _CACHING)
        if task.value is None or task.value["userId"] != user_id:
            raise TaskNotFound
        return task

    def page(self, search: TaskSearch, *, user_id: int) -> JsonValue:
        """Return a page of the user's tasks, the newest first. The first page is cached."""
        load = partial(self._load_page, search, user_id)
        if search == _FIRST_PAGE:
            tasks = self._cache.find(keys.user_bookings(user_id), load, _LIST_CACHING)
        else:
            tasks = JsonValue.of(load())
        return tasks.first_page(search.limit, cursor="taskId")

    def cache_kinds(self) -> Sequence[CacheKind]:
        """The kinds of values that are cached, and how they follow from SQL."""
        load_first_page = partial(self._load_page, _FIRST_PAGE)
        return [
            CacheKind(keys.booking, self._load, _CACHING),
            CacheKind(keys.user_bookings, load_first_page, _LIST_CACHING),
        ]

    def cancel(self, task_id: int, *, user_id: int) -> dict[str, Any]:
        """Cancel a task: a pending one at once, a running one at its next step.

        Raises TaskNotFound, and JobEnded for a task that has completed or failed; TaskHasBooking
        for one that has completed a booking.
        """
        with self._database.begin() as tx:
            task = _locked(tx, task_id, user_id)
            if task.task_type == FLIGHT_BOOKING.name and task.status == task.STATES.done:
                raise TaskHasBooking(task_id)
            self._jobs.cancel(task)
        return _view(task)

    def retry(self, task_id: int, *, user_id: int) -> dict[str, Any]:
        """Run a failed or cancelled task again. Raises TaskNotFound and JobNotEnded."""
        with self._database.begin() as tx:
            task = _locked(tx, task_id, user_id)
            self._jobs.retry(task)
        self._jobs.wake_workers()
        return _view(task)

    def anonymise(self, user_id: int) -> None:
        """Remove a user from their tasks and bookings; delete their files, messages and keys.

        Tasks that have not ended are cancelled.
        """
        while self._anonymise_some(user_id):
            pass
        with self._database.begin() as tx:
            self._outbox.user_deleted(tx, user_id)
            forget_user(tx, user_id)

    def delete_old(self) -> None:
        """Delete the tasks that have been kept long enough, with their bookings.

        One is kept longer whose export has not expired, or with a booking of a flight that is due
        or has departed since.
        """
        now = self._database.now()
        oldest = now - self._kept_for
        upcoming = (
            select(Booking.task_id)
            .join(Flight, Flight.id == Booking.flight_id)
            .where(Booking.task_id == Task.id, Flight.departs_at >= oldest)
        )
        delete_created_before(
            self._database,
            Task,
            oldest,
            Task.finished_at < oldest,
            or_(
                Task.task_type != DATA_EXPORT.name,
                Task.status != Task.STATES.done,
                Task.finished_at < now - self._exports_kept_for,
            ),
            ~exists().where(FilePart.task_id == Task.id),
            ~upcoming.exists(),
            referring=[Booking.task_id],
        )

    def _load(self, task_id: int) -> dict[str, Any] | None:
        with self._database.read() as tx:
            task = tx.get(Task, task_id)
        return None if task is None else _view(task)

    def _load_page(self, search: TaskSearch, user_id: int) -> list[dict[str, Any]]:
        equal = equal_to(search, type=Task.task_type, status=Task.status)
        found = select(Task).where(Task.user_id == user_id, *equal)
        if search.date is not None:
            found = found.where(created_on(search.date, user_id, Task.id))
        if search.cursor is not None:
            found = found.where(Task.id < int(search.cursor))
        with self._database.read() as tx:
            rows = tx.scalars(found.order_by(Task.id.desc()).limit(search.limit + 1)).all()
        return [_view(task) for task in rows]

    def _anonymise_some(self, user_id: int) -> bool:
        with self._database.begin() as tx:
            tasks = tx.scalars(
                select(Task)
                .where(Task.user_id == user_id)
                .limit(_ANONYMISED_AT_ONCE)
                .with_for_update()
            ).all()
            ids = [task.id for task in tasks]
            for task in tasks:
                task.user_id = _DELETED_USER
                if not task.has_ended:
                    self._jobs.cancel(task)
            tx.execute(delete(FilePart).where(FilePart.task_id.in_(ids)))
            tx.execute(
                update(Booking).where(Booking.task_id.in_(ids)).values(user_id=_DELETED_USER)
            )
        return bool(tasks)


def _refuse_unknown(tx: Transaction, task: Task) -> None:
    """Raise UnknownParameter for a flight or a booking task that does not exist.

    Flights are never deleted, and bookings not before the departure. Whether there are seats, or a
    booking to cancel, is known later.
    """
    given = task.parameters
    if task.task_type == FLIGHT_BOOKING.name:
        flights = select(Flight.id).where(Flight.id == given["flightId"])
        if tx.scalar(flights) is None:
            raise UnknownParameter("flightId", "No such flight")
    if task.task_type == BOOKING_CANCELLATION.name:
        booked = select(Task.id).where(
            Task.id == given["taskId"],
            Task.user_id == task.user_id,
            Task.task_type == FLIGHT_BOOKING.name,
        )
        if tx.scalar(booked) is None:
            raise UnknownParameter("taskId", "Not one of your bookings")


def _locked(tx: Transaction, task_id: int, user_id: int) -> Task:
    """Return a task of the user, locked until the transaction ends. Raises TaskNotFound."""
    task = tx.scalar(
        select(Task).where(Task.id == task_id, Task.user_id == user_id).with_for_update()
    )
    if task is None:
        raise TaskNotFound
    return task


def _view(task: Task) -> dict[str, Any]:
    return TaskView.model_validate(task).model_dump(mode="json")
