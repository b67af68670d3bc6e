from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.task_view_priority import TaskViewPriority, check_task_view_priority
from ..models.task_view_status import TaskViewStatus, check_task_view_status

if TYPE_CHECKING:
    from ..models.task_view_details import TaskViewDetails
    from ..models.task_view_parameters import TaskViewParameters


T = TypeVar("T", bound="TaskView")


@_attrs_define
class TaskView:
    """A task as its user sees it.

    Attributes:
        task_id (int):
        task_reference (str):
        user_id (int):
        task_type (str):
        status (TaskViewStatus):
        progress (int): In percent.
        priority (TaskViewPriority):
        parameters (TaskViewParameters):
        details (TaskViewDetails): The result of a completed task.
        error (None | str): Why the task, or its last attempt, failed.
        attempts (int):
        cancel_requested_at (datetime.datetime | None):
        created_at (datetime.datetime):
        started_at (datetime.datetime | None):
        finished_at (datetime.datetime | None):
        updated_at (datetime.datetime):
    """

    task_id: int
    task_reference: str
    user_id: int
    task_type: str
    status: TaskViewStatus
    progress: int
    priority: TaskViewPriority
    parameters: TaskViewParameters
    details: TaskViewDetails
    error: None | str
    attempts: int
    cancel_requested_at: datetime.datetime | None
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    updated_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        task_id = self.task_id

        task_reference = self.task_reference

        user_id = self.user_id

        task_type = self.task_type

        status: str = self.status

        progress = self.progress

        priority: str = self.priority

        parameters = self.parameters.to_dict()

        details = self.details.to_dict()

        error: None | str
        error = self.error

        attempts = self.attempts

        cancel_requested_at: None | str
        if isinstance(self.cancel_requested_at, datetime.datetime):
            cancel_requested_at = self.cancel_requested_at.isoformat()
        else:
            cancel_requested_at = self.cancel_requested_at

        created_at = self.created_at.isoformat()

        started_at: None | str
        if isinstance(self.started_at, datetime.datetime):
            started_at = self.started_at.isoformat()
        else:
            started_at = self.started_at

        finished_at: None | str
        if isinstance(self.finished_at, datetime.datetime):
            finished_at = self.finished_at.isoformat()
        else:
            finished_at = self.finished_at

        updated_at = self.updated_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "taskId": task_id,
                "taskReference": task_reference,
                "userId": user_id,
                "taskType": task_type,
                "status": status,
                "progress": progress,
                "priority": priority,
                "parameters": parameters,
                "details": details,
                "error": error,
                "attempts": attempts,
                "cancelRequestedAt": cancel_requested_at,
                "createdAt": created_at,
                "startedAt": started_at,
                "finishedAt": finished_at,
                "updatedAt": updated_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.task_view_details import TaskViewDetails  # noqa: PLC0415
        from ..models.task_view_parameters import TaskViewParameters  # noqa: PLC0415

        d = dict(src_dict)
        task_id = d.pop("taskId")

        task_reference = d.pop("taskReference")

        user_id = d.pop("userId")

        task_type = d.pop("taskType")

        status = check_task_view_status(d.pop("status"))

        progress = d.pop("progress")

        priority = check_task_view_priority(d.pop("priority"))

        parameters = TaskViewParameters.from_dict(d.pop("parameters"))

        details = TaskViewDetails.from_dict(d.pop("details"))

        def _parse_error(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        error = _parse_error(d.pop("error"))

        attempts = d.pop("attempts")

        def _parse_cancel_requested_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                cancel_requested_at_type_0 = datetime.datetime.fromisoformat(data)

                return cancel_requested_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        cancel_requested_at = _parse_cancel_requested_at(d.pop("cancelRequestedAt"))

        created_at = datetime.datetime.fromisoformat(d.pop("createdAt"))

        def _parse_started_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                started_at_type_0 = datetime.datetime.fromisoformat(data)

                return started_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        started_at = _parse_started_at(d.pop("startedAt"))

        def _parse_finished_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                finished_at_type_0 = datetime.datetime.fromisoformat(data)

                return finished_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        finished_at = _parse_finished_at(d.pop("finishedAt"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updatedAt"))

        task_view = cls(
            task_id=task_id,
            task_reference=task_reference,
            user_id=user_id,
            task_type=task_type,
            status=status,
            progress=progress,
            priority=priority,
            parameters=parameters,
            details=details,
            error=error,
            attempts=attempts,
            cancel_requested_at=cancel_requested_at,
            created_at=created_at,
            started_at=started_at,
            finished_at=finished_at,
            updated_at=updated_at,
        )

        task_view.additional_properties = d
        return task_view

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
