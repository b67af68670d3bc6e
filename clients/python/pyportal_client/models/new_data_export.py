from __future__ import annotations

from collections.abc import Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    cast,
)

from attrs import define as _attrs_define

from ..models.new_data_export_priority import (
    NewDataExportPriority,
    check_new_data_export_priority,
)
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.data_export import DataExport


T = TypeVar("T", bound="NewDataExport")


@_attrs_define
class NewDataExport:
    """Export all tasks of the user that are older than this one. It has no parameters.

    Attributes:
        task_type (Literal['data_export']):
        parameters (DataExport): Export all tasks of the user that are older than this one. It has no parameters.
        priority (NewDataExportPriority | Unset):  Default: 'normal'.
    """

    task_type: Literal["data_export"]
    parameters: DataExport
    priority: NewDataExportPriority | Unset = "normal"

    def to_dict(self) -> dict[str, Any]:
        task_type = self.task_type

        parameters = self.parameters.to_dict()

        priority: str | Unset = UNSET
        if not isinstance(self.priority, Unset):
            priority = self.priority

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "taskType": task_type,
                "parameters": parameters,
            }
        )
        if priority is not UNSET:
            field_dict["priority"] = priority

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.data_export import DataExport  # noqa: PLC0415

        d = dict(src_dict)
        task_type = cast(Literal["data_export"], d.pop("taskType"))
        if task_type != "data_export":
            raise ValueError(f"taskType must match const 'data_export', got '{task_type}'")

        parameters = DataExport.from_dict(d.pop("parameters"))

        _priority = d.pop("priority", UNSET)
        priority: NewDataExportPriority | Unset
        if isinstance(_priority, Unset):
            priority = UNSET
        else:
            priority = check_new_data_export_priority(_priority)

        new_data_export = cls(
            task_type=task_type,
            parameters=parameters,
            priority=priority,
        )

        return new_data_export
