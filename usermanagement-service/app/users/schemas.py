"""Request and response bodies of the user routes."""

from datetime import date, datetime
from typing import Annotated, Self

from pydantic import (
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from common.pyportal_common.fields import Email, PersonName
from common.pyportal_common.web import CachedView, Page, PageSize, Schema, View, otherwise

from ..fields import BirthDate, CurrentPassword, LoginName, NewPassword, Username
from ..passwords.hashing import personal_words, weakness


class Registration(Schema):
    """The body of POST /registerUser."""

    username: Username
    email: Email
    first_name: PersonName | None = None
    last_name: PersonName | None = Field(None, examples=["Doe"])
    date_of_birth: BirthDate | None = None
    password: NewPassword  # last: it is compared with the fields above

    @field_validator("password")
    @classmethod
    def _hard_to_guess(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        names = ("username", "email", "first_name", "last_name")
        personal = personal_words(*(info.data.get(name) for name in names))  # the valid ones
        reason = weakness(password.get_secret_value(), personal)
        if reason is not None:
            raise PydanticCustomError("weak_password", "{reason}", {"reason": reason})
        return password


class UserUpdate(Schema):
    """The body of PATCH /users/{user_id}. Omitted fields stay unchanged; null removes a value."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    email: Email = ""
    first_name: PersonName | None = None
    last_name: PersonName | None = Field(None, examples=["Doe"])
    date_of_birth: BirthDate | None = None
    password: CurrentPassword | None = Field(
        None,
        description="The caller's password. Required to change `email` or another user, unless the "
        "caller has logged in within five minutes.",
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set - {"password"}:
            raise PydanticCustomError("nothing", "Must contain a field to change")
        return self


class EmailChange(Schema):
    """The form that changes the e-mail address."""

    email: Email
    password: CurrentPassword


class UserSearch(Schema):
    """The query of GET /users."""

    username: LoginName | None = Field(None, description="Only the user with this name.")
    email: LoginName | None = Field(None, description="Only the user with this e-mail address.")
    cursor: Annotated[
        str,
        StringConstraints(pattern="^[0-9]{1,18}$"),
        otherwise("Must be the `next` of the previous page"),
    ] = Field("0", description="The `next` of the previous page. Not for searches.")
    limit: PageSize = 50

    @field_validator("cursor")
    @classmethod
    def _of_a_list(cls, cursor: str, info: ValidationInfo) -> str:
        if info.data.get("username") or info.data.get("email"):
            raise PydanticCustomError("no_pages", "Must be omitted: a search has one page")
        return cursor

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if self.username and self.email:
            raise PydanticCustomError("one_name", "Must contain either username or email, not both")
        return self


class UserView(View):
    """A user, as shown to those who may see it."""

    id: int
    username: str
    email: str
    email_verified: bool
    role: str = Field(examples=["user"])
    first_name: str | None
    last_name: str | None
    date_of_birth: date | None
    created_at: datetime
    updated_at: datetime


CACHED_USER = CachedView(UserView, version=1, digest="8fd079a64d2ae5f8")


class UserEnvelope(View):
    """One user."""

    user: UserView


class Registered(UserEnvelope):
    """The new user."""

    message: str


class UserList(Page[UserView]):
    """A page of users."""
