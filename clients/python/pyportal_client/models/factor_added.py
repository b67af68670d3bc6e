from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.renewed_session import RenewedSession


T = TypeVar("T", bound="FactorAdded")


@_attrs_define
class FactorAdded:
    """The session under its new id, and the backup codes if these are the first.

    Attributes:
        session (RenewedSession): A session under its new id.
        backup_codes (list[str] | None): Ten codes, each for one use. They are shown only here.
    """

    session: RenewedSession
    backup_codes: list[str] | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        session = self.session.to_dict()

        backup_codes: list[str] | None
        if isinstance(self.backup_codes, list):
            backup_codes = self.backup_codes

        else:
            backup_codes = self.backup_codes

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "session": session,
                "backupCodes": backup_codes,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.renewed_session import RenewedSession  # noqa: PLC0415

        d = dict(src_dict)
        session = RenewedSession.from_dict(d.pop("session"))

        def _parse_backup_codes(data: object) -> list[str] | None:
            if data is None:
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                backup_codes_type_0 = cast(list[str], data)

                return backup_codes_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[str] | None, data)

        backup_codes = _parse_backup_codes(d.pop("backupCodes"))

        factor_added = cls(
            session=session,
            backup_codes=backup_codes,
        )

        factor_added.additional_properties = d
        return factor_added

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
