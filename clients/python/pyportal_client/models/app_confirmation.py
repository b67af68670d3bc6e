from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="AppConfirmation")


@_attrs_define
class AppConfirmation:
    """The body of POST /factors/app/confirm.

    Attributes:
        code (str): Six digits of an authenticator app, or a backup code.
        end_other_sessions (bool | Unset): End the other sessions, which began without this factor. Default: False.
    """

    code: str
    end_other_sessions: bool | Unset = False

    def to_dict(self) -> dict[str, Any]:
        code = self.code

        end_other_sessions = self.end_other_sessions

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "code": code,
            }
        )
        if end_other_sessions is not UNSET:
            field_dict["endOtherSessions"] = end_other_sessions

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        code = d.pop("code")

        end_other_sessions = d.pop("endOtherSessions", UNSET)

        app_confirmation = cls(
            code=code,
            end_other_sessions=end_other_sessions,
        )

        return app_confirmation
