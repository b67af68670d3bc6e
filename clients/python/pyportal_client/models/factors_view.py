from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.app_view import AppView
    from ..models.passkey_view import PasskeyView
    from ..models.removal_view import RemovalView


T = TypeVar("T", bound="FactorsView")


@_attrs_define
class FactorsView:
    """The second factors of a user.

    Attributes:
        app (AppView | None):
        passkeys (list[PasskeyView]):
        backup_codes_left (int):
        removal (None | RemovalView):
    """

    app: AppView | None
    passkeys: list[PasskeyView]
    backup_codes_left: int
    removal: None | RemovalView
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.app_view import AppView  # noqa: PLC0415
        from ..models.removal_view import RemovalView  # noqa: PLC0415

        app: dict[str, Any] | None
        if isinstance(self.app, AppView):
            app = self.app.to_dict()
        else:
            app = self.app

        passkeys = []
        for passkeys_item_data in self.passkeys:
            passkeys_item = passkeys_item_data.to_dict()
            passkeys.append(passkeys_item)

        backup_codes_left = self.backup_codes_left

        removal: dict[str, Any] | None
        if isinstance(self.removal, RemovalView):
            removal = self.removal.to_dict()
        else:
            removal = self.removal

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "app": app,
                "passkeys": passkeys,
                "backupCodesLeft": backup_codes_left,
                "removal": removal,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.app_view import AppView  # noqa: PLC0415
        from ..models.passkey_view import PasskeyView  # noqa: PLC0415
        from ..models.removal_view import RemovalView  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_app(data: object) -> AppView | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                app_type_0 = AppView.from_dict(data)

                return app_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(AppView | None, data)

        app = _parse_app(d.pop("app"))

        passkeys = []
        _passkeys = d.pop("passkeys")
        for passkeys_item_data in _passkeys:
            passkeys_item = PasskeyView.from_dict(passkeys_item_data)

            passkeys.append(passkeys_item)

        backup_codes_left = d.pop("backupCodesLeft")

        def _parse_removal(data: object) -> None | RemovalView:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                removal_type_0 = RemovalView.from_dict(data)

                return removal_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RemovalView, data)

        removal = _parse_removal(d.pop("removal"))

        factors_view = cls(
            app=app,
            passkeys=passkeys,
            backup_codes_left=backup_codes_left,
            removal=removal,
        )

        factors_view.additional_properties = d
        return factors_view

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
