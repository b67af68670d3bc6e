from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ListedSession")


@_attrs_define
class ListedSession:
    """A session in a user's list.

    Attributes:
        id (str):
        created_at (datetime.datetime):
        auth_at (datetime.datetime):
        expires_at (datetime.datetime):
        device (str): The browser or program, and the system.
        network (str): Where the login came from: the /24 of IPv4 addresses, or the /48 of IPv6.
        last_used_at (datetime.datetime | None): The minute of the last use. Null if another app has set the time to
            live.
        current (bool): Whether this is the session of the request.
    """

    id: str
    created_at: datetime.datetime
    auth_at: datetime.datetime
    expires_at: datetime.datetime
    device: str
    network: str
    last_used_at: datetime.datetime | None
    current: bool
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        created_at = self.created_at.isoformat()

        auth_at = self.auth_at.isoformat()

        expires_at = self.expires_at.isoformat()

        device = self.device

        network = self.network

        last_used_at: None | str
        if isinstance(self.last_used_at, datetime.datetime):
            last_used_at = self.last_used_at.isoformat()
        else:
            last_used_at = self.last_used_at

        current = self.current

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "created_at": created_at,
                "auth_at": auth_at,
                "expires_at": expires_at,
                "device": device,
                "network": network,
                "last_used_at": last_used_at,
                "current": current,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        auth_at = datetime.datetime.fromisoformat(d.pop("auth_at"))

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))

        device = d.pop("device")

        network = d.pop("network")

        def _parse_last_used_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                last_used_at_type_0 = datetime.datetime.fromisoformat(data)

                return last_used_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        last_used_at = _parse_last_used_at(d.pop("last_used_at"))

        current = d.pop("current")

        listed_session = cls(
            id=id,
            created_at=created_at,
            auth_at=auth_at,
            expires_at=expires_at,
            device=device,
            network=network,
            last_used_at=last_used_at,
            current=current,
        )

        listed_session.additional_properties = d
        return listed_session

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
