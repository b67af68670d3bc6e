"""The fields of users: what each accepts, and what it makes of it."""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from .passwords import normalized

_SHORTEST, _LONGEST = 8, 128  # characters of a password

_FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, formats, unassigned, lines
_JOINERS = "\u200c\u200d"  # formats that names in some scripts need
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]"
)


def address(text: str) -> str:
    """An e-mail address in its usual spelling. Raises PydanticCustomError for what is none."""
    # Not pydantic's EmailStr: it takes "John <john@example.com>" too, and drops the name.
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise PydanticCustomError("email", "{reason}", {"reason": str(error)}) from None


def of_fitting_length(password: SecretStr) -> str:
    """The normalized text of a new password. Raises PydanticCustomError."""
    text = normalized(password.get_secret_value())
    if not _SHORTEST <= len(text) <= _LONGEST:
        raise PydanticCustomError(
            "password_length", "must have at least 8 and at most 128 characters"
        )
    return text


def _printable(text: str) -> str:
    hidden = any(unicodedata.category(sign) in _FORBIDDEN and sign not in _JOINERS for sign in text)
    if hidden or _INVISIBLE.search(text) or not any(sign.isalnum() for sign in text):
        raise PydanticCustomError("unprintable", "must be readable: letters, nothing invisible")
    return text


def _composed(value: Any) -> Any:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


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


Username = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{3,20}$"), Field(examples=["john_doe"])
]
Email = Annotated[
    str,
    StringConstraints(max_length=254),
    AfterValidator(address),
    Field(examples=["john@example.com"], json_schema_extra={"format": "email"}),
]
PersonName = Annotated[
    str,
    BeforeValidator(_composed),  # before the length is checked: it may change it
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(_printable),
    Field(examples=["John"]),
]
BirthDate = Annotated[
    date,
    BeforeValidator(_iso_date, json_schema_input_type=date),
    AfterValidator(_past),
    Field(description="In the past.", examples=["1990-01-31"]),
]
LoginName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=254, pattern=r"^[^\x00-\x1f]+$"),
    Field(examples=["john_doe"]),
]
CurrentPassword = Annotated[
    SecretStr, Field(min_length=1, max_length=1024, examples=["correct-horse-battery"])
]
LinkToken = Annotated[
    SecretStr,
    Field(
        description="What follows `#token=` in the link.",
        min_length=1,
        max_length=200,
        examples=["8PzjQbOTrWLyLmJVZyWkFNBHuhXrGrSMxAWTWwrbQDM"],
    ),
]
NewPassword = Annotated[
    SecretStr,
    Field(
        description="8 to 128 characters, and not easy to guess.",
        examples=["correct-horse-battery"],
        json_schema_extra={"minLength": _SHORTEST, "maxLength": _LONGEST},  # once normalized
    ),
]
