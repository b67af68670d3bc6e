from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.batch_result_outcome import BatchResultOutcome, check_batch_result_outcome
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.detail import Detail


T = TypeVar("T", bound="BatchResult")


@_attrs_define
class BatchResult:
    """What has become of one notification of a batch.

    Attributes:
        outcome (BatchResultOutcome): `replayed`: it was created by an earlier request with its key.
        status (int): The status that `POST /notifications` would answer.
        notification_id (int | None | Unset):
        error (None | str | Unset):
        code (None | str | Unset):
        details (list[Detail] | Unset): What is wrong with which field.
    """

    outcome: BatchResultOutcome
    status: int
    notification_id: int | None | Unset = UNSET
    error: None | str | Unset = UNSET
    code: None | str | Unset = UNSET
    details: list[Detail] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        outcome: str = self.outcome

        status = self.status

        notification_id: int | None | Unset
        if isinstance(self.notification_id, Unset):
            notification_id = UNSET
        else:
            notification_id = self.notification_id

        error: None | str | Unset
        if isinstance(self.error, Unset):
            error = UNSET
        else:
            error = self.error

        code: None | str | Unset
        if isinstance(self.code, Unset):
            code = UNSET
        else:
            code = self.code

        details: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.details, Unset):
            details = []
            for details_item_data in self.details:
                details_item = details_item_data.to_dict()
                details.append(details_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "outcome": outcome,
                "status": status,
            }
        )
        if notification_id is not UNSET:
            field_dict["notificationId"] = notification_id
        if error is not UNSET:
            field_dict["error"] = error
        if code is not UNSET:
            field_dict["code"] = code
        if details is not UNSET:
            field_dict["details"] = details

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.detail import Detail  # noqa: PLC0415

        d = dict(src_dict)
        outcome = check_batch_result_outcome(d.pop("outcome"))

        status = d.pop("status")

        def _parse_notification_id(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        notification_id = _parse_notification_id(d.pop("notificationId", UNSET))

        def _parse_error(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        error = _parse_error(d.pop("error", UNSET))

        def _parse_code(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        code = _parse_code(d.pop("code", UNSET))

        _details = d.pop("details", UNSET)
        details: list[Detail] | Unset = UNSET
        if _details is not UNSET:
            details = []
            for details_item_data in _details:
                details_item = Detail.from_dict(details_item_data)

                details.append(details_item)

        batch_result = cls(
            outcome=outcome,
            status=status,
            notification_id=notification_id,
            error=error,
            code=code,
            details=details,
        )

        batch_result.additional_properties = d
        return batch_result

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
