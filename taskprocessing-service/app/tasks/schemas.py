"""The bodies of tasks, in camelCase."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, create_model, field_validator
from pydantic_core import PydanticCustomError

from common.pyportal_common.jobs import Priority
from common.pyportal_common.web import CachedView, Day, Page, PageQuery, Schema, View

from ..task_types import TASK_TYPES, TaskType

Status = Literal["pending", "processing", "completed", "failed", "cancelled"]


def _known(task_type: str) -> str:
    if task_type not in TASK_TYPES:
        known = {"known": ", ".join(TASK_TYPES)}
        raise PydanticCustomError("task_type", "Must be one of: {known}", known)
    return task_type


def _described(task_type: TaskType[Any]) -> type[Schema]:
    """The body that creates a task of this type."""
    fields: dict[str, Any] = {
        "task_type": (Literal[task_type.name], ...),
        "parameters": (task_type.parameters, ...),
        "priority": (Priority, "normal"),
    }
    name = f"New{task_type.parameters.__name__}"
    return create_model(name, __base__=Schema, __doc__=task_type.parameters.__doc__, **fields)


class NewTask(Schema):
    """The body of POST /tasks."""

    described_as = tuple(map(_described, TASK_TYPES.values()))

    task_type: Annotated[str, AfterValidator(_known)]
    parameters: dict[str, Any]
    priority: Priority = "normal"

    @field_validator("parameters")
    @classmethod
    def _of_its_type(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        task_type = info.data.get("task_type")
        if task_type is None:  # unknown, which has its own error
            return given
        parameters = TASK_TYPES[task_type].parameters.model_validate_json(json.dumps(given))
        stored: dict[str, Any] = parameters.model_dump(mode="json", by_alias=True)
        return stored


class TaskSearch(PageQuery):
    """The query of GET /tasks."""

    type: (
        Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": [*TASK_TYPES]})]
        | None
    ) = Field(None, description="Only tasks of this type.")
    status: Status | None = Field(None, description="Only tasks in this state.")
    date: Day | None = Field(None, description="The day on which it was created, in UTC.")


class TaskView(View):
    """A task as its user sees it."""

    task_id: int = Field(validation_alias="id")
    task_reference: str = Field(validation_alias="reference")
    user_id: int
    task_type: str
    status: Status
    progress: int = Field(description="In percent.")
    priority: Priority
    parameters: dict[str, Any]
    details: dict[str, Any] = Field(description="The result of a completed task.")
    error: str | None = Field(description="Why the task, or its last attempt, failed.")
    attempts: int
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


CACHED_TASK = CachedView(TaskView, version=1, digest="7b3936e709040106")


class TaskEnvelope(View):
    """One task."""

    task: TaskView


class TaskList(Page[TaskView]):
    """A page of tasks, the newest first."""
