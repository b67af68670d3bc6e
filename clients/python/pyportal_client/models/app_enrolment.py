from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="AppEnrolment")


@_attrs_define
class AppEnrolment:
    """An authenticator app that is not confirmed yet. Shown once.

    Attributes:
        secret (str): For apps that cannot read the QR code, in base32.
        otpauth_url (str):
        qr_svg (str): The URL as a QR code: an element `svg`.
        expires_at (datetime.datetime):
    """

    secret: str
    otpauth_url: str
    qr_svg: str
    expires_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        secret = self.secret

        otpauth_url = self.otpauth_url

        qr_svg = self.qr_svg

        expires_at = self.expires_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "secret": secret,
                "otpauthUrl": otpauth_url,
                "qrSvg": qr_svg,
                "expiresAt": expires_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        secret = d.pop("secret")

        otpauth_url = d.pop("otpauthUrl")

        qr_svg = d.pop("qrSvg")

        expires_at = datetime.datetime.fromisoformat(d.pop("expiresAt"))

        app_enrolment = cls(
            secret=secret,
            otpauth_url=otpauth_url,
            qr_svg=qr_svg,
            expires_at=expires_at,
        )

        app_enrolment.additional_properties = d
        return app_enrolment

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
