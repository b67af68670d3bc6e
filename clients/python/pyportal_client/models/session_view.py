from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.session_view_factors import SessionViewFactors
    from ..models.session_view_user_data import SessionViewUserData


T = TypeVar("T", bound="SessionView")


@_attrs_define
class SessionView:
    """A session as every service sees it.

    Attributes:
        expires_in (int): Seconds until it ends without use.
        user_id (int | str):
        user_data (SessionViewUserData):
        created_at (datetime.datetime):
        auth_at (datetime.datetime):
        expires_at (datetime.datetime):
        amr (list[str]): How the user has authenticated, as in RFC 8176; with mfa for two factors.
        factors (SessionViewFactors): When each factor was proven.
    """

    expires_in: int
    user_id: int | str
    user_data: SessionViewUserData
    created_at: datetime.datetime
    auth_at: datetime.datetime
    expires_at: datetime.datetime
    amr: list[str]
    factors: SessionViewFactors
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        expires_in = self.expires_in

        user_id: int | str
        user_id = self.user_id

        user_data = self.user_data.to_dict()

        created_at = self.created_at.isoformat()

        auth_at = self.auth_at.isoformat()

        expires_at = self.expires_at.isoformat()

        amr = self.amr

        factors = self.factors.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "expires_in": expires_in,
                "user_id": user_id,
                "user_data": user_data,
                "created_at": created_at,
                "auth_at": auth_at,
                "expires_at": expires_at,
                "amr": amr,
                "factors": factors,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.session_view_factors import SessionViewFactors  # noqa: PLC0415
        from ..models.session_view_user_data import SessionViewUserData  # noqa: PLC0415

        d = dict(src_dict)
        expires_in = d.pop("expires_in")

        def _parse_user_id(data: object) -> int | str:
            return cast(int | str, data)

        user_id = _parse_user_id(d.pop("user_id"))

        user_data = SessionViewUserData.from_dict(d.pop("user_data"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        auth_at = datetime.datetime.fromisoformat(d.pop("auth_at"))

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        amr = cast(list[str], d.pop("amr"))

        factors = SessionViewFactors.from_dict(d.pop("factors"))

        session_view = cls(
            expires_in=expires_in,
            user_id=user_id,
            user_data=user_data,
            created_at=created_at,
            auth_at=auth_at,
            expires_at=expires_at,
            amr=amr,
            factors=factors,
        )

        session_view.additional_properties = d
        return session_view

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
