"""What clients send and get."""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any, Self

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from common.pyportal_common.web import Schema, View

from .passwords import normalized, personal_words, weakness

_SHORTEST, _LONGEST = 8, 128  # characters of a password

_FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, formats, unassigned, lines
_JOINERS = "\u200c\u200d"  # formats that names in some scripts need
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]"
)


def _printable(text: str) -> str:
    hidden = any(unicodedata.category(sign) in _FORBIDDEN and sign not in _JOINERS for sign in text)
    if hidden or _INVISIBLE.search(text) or not any(sign.isalnum() for sign in text):
        raise PydanticCustomError("unprintable", "must be readable: letters, nothing invisible")
    return text


def _composed(value: Any) -> Any:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _address(text: str) -> str:
    # Not pydantic's EmailStr: it takes "John <john@example.com>" too, and drops the name.
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise PydanticCustomError("email", "{reason}", {"reason": str(error)}) from None


def _iso_date(value: Any) -> date:
    try:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            return date.fromisoformat(value)
    except ValueError:
        pass  # a thirteenth month, a zeroth year
    raise PydanticCustomError("iso_date", "must be a date as in 1990-01-31")


def _past(day: date) -> date:
    if day >= datetime.now(UTC).date():
        raise PydanticCustomError("past_date", "must be in the past")
    return day


Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{3,20}\z")]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(_address)]
PersonName = Annotated[
    str,
    BeforeValidator(_composed),  # before the length is checked: it may change it
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(_printable),
]
BirthDate = Annotated[date, BeforeValidator(_iso_date), AfterValidator(_past)]


def _of_fitting_length(password: SecretStr) -> str:
    text = normalized(password.get_secret_value())
    if not _SHORTEST <= len(text) <= _LONGEST:
        raise PydanticCustomError(
            "password_length", "must have at least 8 and at most 128 characters"
        )
    return text


LoginName = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^\x00-\x1f]+\z")]


class Registration(Schema):
    """The body of POST /registerUser."""

    username: Username
    email: Email
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    date_of_birth: BirthDate | None = None
    password: SecretStr  # last: see below

    @field_validator("password")
    @classmethod
    def _hard_to_guess(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        text = _of_fitting_length(password)
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

    username: LoginName | None = None
    email: LoginName | None = None
    password: Annotated[SecretStr, Field(min_length=1, max_length=1024)]

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.username is None) == (self.email is None):
            raise PydanticCustomError("one_name", "needs either username or email")
        return self

    @property
    def name(self) -> str:
        """What the user calls themselves, as SQL keeps it to compare."""
        if self.email is None:
            return (self.username or "").lower()
        try:
            return _address(self.email).lower()
        except PydanticCustomError:  # nobody's
            return self.email.lower()


class UserUpdate(Schema):
    """The body of PATCH /users/{id}: what is named is changed; null removes what is optional."""

    email: Email = ""
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    date_of_birth: BirthDate | None = None
    password: Annotated[SecretStr, Field(max_length=1024)] | None = None  # with another e-mail

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set - {"password"}:
            raise PydanticCustomError("nothing", "names nothing to change")
        return self


class PasswordChange(Schema):
    """The body of PUT /users/{id}/password."""

    current_password: Annotated[SecretStr, Field(max_length=1024)]
    new_password: SecretStr

    @field_validator("new_password")
    @classmethod
    def _fitting(cls, password: SecretStr) -> SecretStr:
        return SecretStr(_of_fitting_length(password))


class UserView(View):
    """A user as the API shows one, to those who may see it."""

    id: int
    username: str
    email: str
    first_name: str | None
    last_name: str | None
    date_of_birth: date | None
    created_at: datetime
    updated_at: datetime
