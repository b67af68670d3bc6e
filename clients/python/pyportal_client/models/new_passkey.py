from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.new_passkey_credential import NewPasskeyCredential


T = TypeVar("T", bound="NewPasskey")


@_attrs_define
class NewPasskey:
    """The body of POST /factors/passkeys.

    Attributes:
        name (str): What the user calls it.
        credential (NewPasskeyCredential): What the browser has returned, as PublicKeyCredential.toJSON() writes it.
        end_other_sessions (bool | Unset): End the other sessions, which began without this factor. Default: False.
    """

    name: str
    credential: NewPasskeyCredential
    end_other_sessions: bool | Unset = False

    def to_dict(self) -> dict[str, Any]:
        name = self.name

        credential = self.credential.to_dict()

        end_other_sessions = self.end_other_sessions

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "name": name,
                "credential": credential,
            }
        )
        if end_other_sessions is not UNSET:
            field_dict["endOtherSessions"] = end_other_sessions

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.new_passkey_credential import NewPasskeyCredential  # noqa: PLC0415

        d = dict(src_dict)
        name = d.pop("name")

        credential = NewPasskeyCredential.from_dict(d.pop("credential"))

        end_other_sessions = d.pop("endOtherSessions", UNSET)

        new_passkey = cls(
            name=name,
            credential=credential,
            end_other_sessions=end_other_sessions,
        )

        return new_passkey
