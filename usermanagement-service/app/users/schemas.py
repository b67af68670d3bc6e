"""What clients send and get. Fields of users are camelCase, those of sessions snake_case."""

from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from common.pyportal_common.cache_handlers import Session
from common.pyportal_common.web import Schema, View

from .fields import (
    BirthDate,
    CurrentPassword,
    Email,
    LinkToken,
    LoginName,
    NewPassword,
    PersonName,
    Username,
    address,
    of_fitting_length,
)
from .passwords import personal_words, weakness


class Registration(Schema):
    """The body of POST /registerUser."""

    username: Username
    email: Email
    first_name: PersonName | None = None
    last_name: PersonName | None = Field(None, examples=["Doe"])
    date_of_birth: BirthDate | None = None
    password: NewPassword  # last: see below

    @field_validator("password")
    @classmethod
    def _hard_to_guess(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        text = of_fitting_length(password)
        valid = info.data  # the fields above that passed
        personal = personal_words(
            valid.get("username"),
            valid.get("email"),
            valid.get("first_name"),
            valid.get("last_name"),
        )
        reason = weakness(text, personal)
        if reason is not None:
            raise PydanticCustomError("weak_password", "{reason}", {"reason": reason})
        return SecretStr(text)


class Credentials(Schema):
    """The body of POST /login: a password, and a username or an e-mail address."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["username"]}, {"required": ["email"]}],
            "examples": [{"username": "john_doe", "password": "correct-horse-battery"}],
        }
    )

    username: LoginName = ""
    email: LoginName = ""
    password: CurrentPassword

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if bool(self.username) == bool(self.email):
            raise PydanticCustomError("one_name", "needs either username or email")
        return self

    @property
    def name(self) -> str:
        """What the user calls themselves, as SQL keeps it to compare."""
        if not self.email:
            return self.username.lower()
        try:
            return address(self.email).lower()
        except PydanticCustomError:  # nobody's
            return self.email.lower()


class UserUpdate(Schema):
    """The body of PATCH /users/{user_id}: what it names is changed, null removes."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    email: Email = ""
    first_name: PersonName | None = None
    last_name: PersonName | None = Field(None, examples=["Doe"])
    date_of_birth: BirthDate | None = None
    password: CurrentPassword | None = Field(
        None, description="Of who asks; needed with another email."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set - {"password"}:
            raise PydanticCustomError("nothing", "names nothing to change")
        return self


class PasswordChange(Schema):
    """The body of PUT /users/{user_id}/password."""

    current_password: CurrentPassword
    new_password: NewPassword

    @field_validator("new_password")
    @classmethod
    def _fitting(cls, password: SecretStr) -> SecretStr:
        return SecretStr(of_fitting_length(password))


class Verification(Schema):
    """The body of POST /email/verify."""

    token: LinkToken


class ForgottenPassword(Schema):
    """The body of POST /password/forgot."""

    email: Email


class PasswordReset(Schema):
    """The body of POST /password/reset."""

    token: LinkToken
    new_password: NewPassword

    @field_validator("new_password")
    @classmethod
    def _fitting(cls, password: SecretStr) -> SecretStr:
        return SecretStr(of_fitting_length(password))


class UserSearch(Schema):
    """The query of GET /users."""

    username: LoginName | None = None
    email: LoginName | None = None
    cursor: Annotated[str, StringConstraints(pattern="^[0-9]{1,18}$")] = Field(
        "0", description="The `next` of the page before."
    )

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if self.username and self.email:
            raise PydanticCustomError("one_question", "takes either username or email")
        return self


class SessionEnding(Schema):
    """The query of DELETE /sessions."""

    all: bool = Field(False, description="The current session too.")


class UserView(View):
    """A user as the API shows one, to those who may see it."""

    id: int
    username: str
    email: str
    email_verified: bool
    first_name: str | None
    last_name: str | None
    date_of_birth: date | None
    created_at: datetime
    updated_at: datetime


class UserEnvelope(View):
    """One user."""

    user: UserView


class Registered(UserEnvelope):
    """The user that was created."""

    message: str


class Accepted(View):
    """Something that will be done."""

    message: str


class UserList(View):
    """A page of users."""

    items: list[UserView]
    next: str | None = Field(description="The cursor of the next page, null on the last.")


_WholeSeconds = Annotated[int, BeforeValidator(int)]


class SessionExpiry(View, alias_generator=None):
    """When a session ends if it is not used."""

    expires_in: _WholeSeconds = Field(validation_alias="ttl_seconds", description="Seconds.")


class RenewedSession(SessionExpiry):
    """A session under its new id."""

    session_id: str


class LoggedIn(RenewedSession):
    """A session, and whose it is."""

    user: UserView

    @classmethod
    def of(cls, session: Session, user: dict[str, Any]) -> Self:
        """The session of `user`, who is as the API shows them."""
        return cls(
            session_id=session.session_id,
            expires_in=int(session.ttl_seconds),
            user=UserView.model_validate(user),
        )


class SessionView(SessionExpiry):
    """A session as all services see it."""

    user_id: int | str
    user_data: dict[str, Any]
    created_at: datetime
    auth_at: datetime
    expires_at: datetime


class ListedSession(View, alias_generator=None):
    """A session in the list of its user's."""

    id: str
    created_at: datetime
    auth_at: datetime
    expires_at: datetime
    current: bool = Field(description="It is the one that asks.")

    @classmethod
    def of(cls, session: Session, current: Session) -> Self:
        """The session, without its id, which is a secret."""
        return cls(
            id=session.public_id,
            created_at=session.created_at,
            auth_at=session.auth_at,
            expires_at=session.expires_at,
            current=session.session_id == current.session_id,
        )


class SessionList(View, alias_generator=None):
    """The sessions of a user."""

    items: list[ListedSession]
    next: None = None
