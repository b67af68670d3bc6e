"""Request and response bodies of the routes of second factors."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from common.pyportal_common.fields import PersonName
from common.pyportal_common.web import Schema, View

from ..sessions.schemas import RenewedSession
from .fields import Credential, FactorCode


class _NewFactor(Schema):
    end_other_sessions: bool = Field(
        False, description="End the other sessions, which began without this factor."
    )


class AppConfirmation(_NewFactor):
    """The body of POST /factors/app/confirm."""

    code: FactorCode


class NewPasskey(_NewFactor):
    """The body of POST /factors/passkeys."""

    name: Annotated[PersonName, StringConstraints(max_length=50)] = Field(
        description="What the user calls it.", examples=["My phone"]
    )
    credential: Credential


class AppEnrolment(View):
    """An authenticator app that is not confirmed yet. Shown once."""

    secret: str = Field(description="For apps that cannot read the QR code, in base32.")
    otpauth_url: str
    qr_svg: str = Field(description="The URL as a QR code: an element `svg`.")
    expires_at: datetime


class PasskeyOptions(View):
    """What a page passes to `navigator.credentials`, after `parse…OptionsFromJSON`."""

    options: dict[str, Any]


class FactorAdded(View):
    """The session under its new id, and the backup codes if these are the first."""

    session: RenewedSession
    backup_codes: list[str] | None = Field(
        description="Ten codes, each for one use. They are shown only here."
    )


class NewBackupCodes(View):
    """New backup codes, which replace all earlier ones. Shown once."""

    backup_codes: list[str]


class AppView(View):
    """The authenticator app of a user."""

    created_at: datetime


class PasskeyView(View):
    """A passkey of a user."""

    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None


class RemovalView(View):
    """A removal of all second factors that an admin has requested."""

    requested_at: datetime
    due_at: datetime = Field(description="When they are removed, unless it is cancelled before.")


class FactorsView(View):
    """The second factors of a user."""

    app: AppView | None
    passkeys: list[PasskeyView]
    backup_codes_left: int
    removal: RemovalView | None
