from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.reauthentication_passkey_type_0 import ReauthenticationPasskeyType0


T = TypeVar("T", bound="Reauthentication")


@_attrs_define
class Reauthentication:
    """The body of POST /session/reauthenticate: as for a login.

    Attributes:
        password (str):
        code (None | str | Unset):
        passkey (None | ReauthenticationPasskeyType0 | Unset):
    """

    password: str
    code: None | str | Unset = UNSET
    passkey: None | ReauthenticationPasskeyType0 | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        from ..models.reauthentication_passkey_type_0 import (
            ReauthenticationPasskeyType0,  # noqa: PLC0415
        )

        password = self.password

        code: None | str | Unset
        if isinstance(self.code, Unset):
            code = UNSET
        else:
            code = self.code

        passkey: dict[str, Any] | None | Unset
        if isinstance(self.passkey, Unset):
            passkey = UNSET
        elif isinstance(self.passkey, ReauthenticationPasskeyType0):
            passkey = self.passkey.to_dict()
        else:
            passkey = self.passkey

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "password": password,
            }
        )
        if code is not UNSET:
            field_dict["code"] = code
        if passkey is not UNSET:
            field_dict["passkey"] = passkey

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.reauthentication_passkey_type_0 import (
            ReauthenticationPasskeyType0,  # noqa: PLC0415
        )

        d = dict(src_dict)
        password = d.pop("password")

        def _parse_code(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        code = _parse_code(d.pop("code", UNSET))

        def _parse_passkey(data: object) -> None | ReauthenticationPasskeyType0 | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                passkey_type_0 = ReauthenticationPasskeyType0.from_dict(data)

                return passkey_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | ReauthenticationPasskeyType0 | Unset, data)

        passkey = _parse_passkey(d.pop("passkey", UNSET))

        reauthentication = cls(
            password=password,
            code=code,
            passkey=passkey,
        )

        return reauthentication
