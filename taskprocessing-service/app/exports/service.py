"""Tasks that leave a file: all tasks of a user, as JSON lines."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select

from common.pyportal_common.db import Database
from common.pyportal_common.jobs import Run
from common.pyportal_common.web import Schema, View

from .errors import ExportExpired, NoFile
from .models import FilePart, Task
from .schemas import TaskView
from .services import Services
from .task_types import TASK_TYPES

_PART = 500  # tasks

EXPORT = "data_export"


class DataExport(Schema):
    """All tasks of the user that are older than the export. It has no parameters."""


class Exported(View):
    """The `details` of a completed export."""

    tasks: int
    bytes: int
    parts: int
    expires_at: datetime


@TASK_TYPES.register(EXPORT, DataExport, time_limit_seconds=600)
def export(run: Run[Task], _: DataExport, mine: Services) -> None:
    """Write the file, a part in each step. An attempt begins it anew."""
    user_id, before = run.job.user_id, run.job.id
    with run.step(0) as tx:
        tx.execute(delete(FilePart).where(FilePart.task_id == run.job.id))
        total = tx.scalar(select(func.count()).where(Task.user_id == user_id, Task.id < before))
    number = written = size = last = 0
    while True:
        with mine.database.read() as tx:
            tasks = tx.scalars(
                select(Task)
                .where(Task.user_id == user_id, Task.id > last, Task.id < before)
                .order_by(Task.id)
                .limit(_PART)
            ).all()
        if not tasks:
            break
        last, written = tasks[-1].id, written + len(tasks)
        content = "".join(f"{TaskView.model_validate(task).model_dump_json()}\n" for task in tasks)
        part = FilePart(
            task_id=run.job.id,
            number=number,
            content=content.encode(),
            created_at=datetime.now(UTC),
        )
        with run.step(min(99, 100 * written // max(1, total or 0))) as tx:
            tx.add(part)
        number, size = number + 1, size + len(part.content)
    with run.finish() as (_session, task):
        exported = Exported(
            tasks=written,
            bytes=size,
            parts=number,
            expires_at=datetime.now(UTC) + _kept_for(mine),
        )
        task.details = exported.model_dump(mode="json")


def read(task: Task, *, database: Database) -> Iterator[bytes]:
    """The file that a completed export left, a part at a time. Raises NoFile and ExportExpired."""
    if task.task_type != EXPORT or task.status != task.STATES.done:
        raise NoFile
    first = _part(task.id, 0, database=database)
    if first is None and task.details["parts"]:
        raise ExportExpired

    def parts() -> Iterator[bytes]:
        part, number = first, 0
        while part is not None:
            yield part
            number += 1
            part = _part(task.id, number, database=database)

    return parts()


def forget_old(mine: Services) -> None:
    """Remove the files that are older than EXPORT_DAYS."""
    with mine.database.begin() as tx:
        tx.execute(
            delete(FilePart).where(FilePart.created_at < datetime.now(UTC) - _kept_for(mine))
        )


def _kept_for(mine: Services) -> timedelta:
    return timedelta(days=mine.settings.export_days)


def _part(task_id: int, number: int, *, database: Database) -> bytes | None:
    with database.read() as tx:
        return tx.scalar(
            select(FilePart.content).where(FilePart.task_id == task_id, FilePart.number == number)
        )
