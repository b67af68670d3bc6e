"""Exports: all tasks of a user in one file, as JSON lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

from sqlalchemy import ColumnElement, delete, func, select

from common.pyportal_common.db import Database
from common.pyportal_common.db.batches import delete_in_batches
from common.pyportal_common.jobs import Outcome, Run

from ..errors import ExportExpired, ExportNotFound, TaskNotFound
from ..models import FilePart, Task
from ..task_types import DATA_EXPORT, DataExport
from ..tasks.schemas import TaskView
from .schemas import ExportDetails

_PARTS_PER_DELETE = 20  # some 100 KB each


@dataclass(frozen=True)
class ExportFile:
    """The file of a completed export. `parts` reads it from SQL, one part at a time."""

    name: str
    size: int
    parts: Iterator[bytes]


class Exports:
    """The handler of export tasks, and their files, which are deleted after `kept_for`."""

    def __init__(
        self, database: Database, *, kept_for: timedelta, tasks_per_part: int = 500
    ) -> None:
        self._database = database
        self._kept_for = kept_for
        self._tasks_per_part = tasks_per_part

    def write(self, run: Run[Task], _: DataExport) -> None:
        """Write the file, one part in each step. A new attempt starts over."""
        with run.transaction(progress=0) as tx:
            tx.execute(delete(FilePart).where(FilePart.task_id == run.job.id))
            total = tx.scalar(select(func.count()).where(*_exported_by(run.job))) or 0
        parts = written = size = 0
        for tasks in self._batches(run.job):
            written += len(tasks)
            lines = (f"{TaskView.model_validate(task).model_dump_json()}\n" for task in tasks)
            content = "".join(lines).encode()
            done = min(99, 100 * written // max(1, total))
            with run.transaction(progress=done) as tx:
                tx.add(
                    FilePart(
                        task_id=run.job.id,
                        number=parts,
                        content=content,
                        created_at=self._database.now(),
                    )
                )
            parts, size = parts + 1, size + len(content)
        with run.transaction(Outcome.done()):
            expires_at = self._database.now() + self._kept_for
            details = ExportDetails(tasks=written, bytes=size, parts=parts, expires_at=expires_at)
            run.job.details = details.model_dump(mode="json")

    def open(self, task_id: int, *, user_id: int) -> ExportFile:
        """Open the file of a user's export.

        Raises TaskNotFound, ExportNotFound and ExportExpired.
        """
        with self._database.read() as tx:
            task = tx.get(Task, task_id)
        if task is None or task.user_id != user_id:
            raise TaskNotFound
        if task.task_type != DATA_EXPORT.name or task.status != task.STATES.done:
            raise ExportNotFound
        parts = self._parts(task)
        first = next(parts, b"")  # before the response begins
        if not first and task.details["parts"]:
            raise ExportExpired
        name = f"tasks-{task.reference}.jsonl"
        return ExportFile(name, task.details["bytes"], chain([first], parts))

    def delete_expired(self) -> None:
        """Delete the files that have been kept long enough."""
        oldest = self._database.now() - self._kept_for
        expired = FilePart.created_at < oldest
        delete_in_batches(self._database, FilePart, expired, rows=_PARTS_PER_DELETE)

    def _batches(self, export: Task) -> Iterator[Sequence[Task]]:
        """Read the exported tasks, those of one part at a time."""
        last_id = 0
        while True:
            with self._database.read() as tx:
                tasks = tx.scalars(
                    select(Task)
                    .where(*_exported_by(export), Task.id > last_id)
                    .order_by(Task.id)
                    .limit(self._tasks_per_part)
                ).all()
            if not tasks:
                return
            yield tasks
            last_id = tasks[-1].id

    def _parts(self, export: Task) -> Iterator[bytes]:
        for number in range(export.details["parts"]):
            with self._database.read() as tx:
                part = tx.get(FilePart, (export.id, number))
            if part is None:
                return
            yield part.content


def _exported_by(export: Task) -> tuple[ColumnElement[bool], ...]:
    return (Task.user_id == export.user_id, Task.id < export.id)
