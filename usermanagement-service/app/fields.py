"""Field types of request bodies: what each accepts, and how it is normalized."""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from common.pyportal_common.web import otherwise

from .passwords.hashing import normalized

_MIN_PASSWORD, _MAX_PASSWORD = 8, 128  # characters

# Unicode's categories of controls, formats, unassigned characters and line breaks.
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # formats that names in some scripts require
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]"
)


def normalized_email(text: str) -> str:
    """The normalized form of an e-mail address. Raises PydanticCustomError if it is not one."""
    # Not pydantic's EmailStr, which also accepts "John <john@example.com>" and drops the name.
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        if "reserved" in str(error):
            raise PydanticCustomError("email", "Must not be in a reserved domain") from None
        message = "Must be an e-mail address, such as john@example.com"
        raise PydanticCustomError("email", message) from None


def normalized_password(password: SecretStr) -> SecretStr:
    """A new password, normalized. Raises PydanticCustomError if it is too short or too long."""
    text = normalized(password.get_secret_value())
    if not _MIN_PASSWORD <= len(text) <= _MAX_PASSWORD:
        raise PydanticCustomError(
            "password_length", "Must have at least 8 and at most 128 characters"
        )
    return SecretStr(text)


def _printable(text: str) -> str:
    hidden = any(unicodedata.category(char) in _FORBIDDEN and char not in _JOINERS for char in text)
    if hidden or _INVISIBLE.search(text) or not any(char.isalnum() for char in text):
        raise PydanticCustomError(
            "unprintable", "Must contain a letter or digit, and no invisible characters"
        )
    return text


def _composed(value: Any) -> Any:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _iso_date(value: Any) -> date:
    try:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            return date.fromisoformat(value)
    except ValueError:
        pass  # month 13, year 0
    raise PydanticCustomError("iso_date", "Must be a date, such as 1990-01-31")


def _past(day: date) -> date:
    if day >= datetime.now(UTC).date():
        raise PydanticCustomError("past_date", "Must be in the past")
    return day


Username = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{3,20}$"),
    otherwise("Must have 3 to 20 characters: letters a to z, digits, _ or -"),
    Field(examples=["john_doe"]),
]
Email = Annotated[
    str,
    StringConstraints(max_length=254),
    AfterValidator(normalized_email),
    Field(examples=["john@example.com"], json_schema_extra={"format": "email"}),
]
PersonName = Annotated[
    str,
    BeforeValidator(_composed),  # first: it may change the length
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(_printable),
    Field(examples=["John"]),
]
BirthDate = Annotated[
    date,
    BeforeValidator(_iso_date, json_schema_input_type=date),
    AfterValidator(_past),
    Field(description="A date in the past.", examples=["1990-01-31"]),
]
LoginName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=254, pattern=r"^[^\x00-\x1f]+$"),
    otherwise("Must not contain control characters"),
    Field(examples=["john_doe"]),
]
CurrentPassword = Annotated[
    SecretStr, Field(min_length=1, max_length=1024, examples=["correct-horse-battery"])
]
LinkToken = Annotated[
    SecretStr,
    Field(
        description="The part of the link after `#token=`.",
        min_length=1,
        max_length=200,
        examples=["8PzjQbOTrWLyLmJVZyWkFNBHuhXrGrSMxAWTWwrbQDM"],
    ),
]
NewPassword = Annotated[
    SecretStr,
    AfterValidator(normalized_password),
    Field(
        description="8 to 128 characters, and not easy to guess.",
        examples=["correct-horse-battery"],
        # Of the normalized password.
        json_schema_extra={"minLength": _MIN_PASSWORD, "maxLength": _MAX_PASSWORD},
    ),
]
