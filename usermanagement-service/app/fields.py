"""Field types of request bodies: what each accepts, and how it is normalized.

Those that other services validate as well are in `pyportal_common.fields`.
"""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from common.pyportal_common.web import otherwise

from .passwords.hashing import normalized

_MIN_PASSWORD, _MAX_PASSWORD = 8, 128  # characters
_FIRST_BIRTH = date(1900, 1, 1)  # nobody who is older is alive


def normalized_password(password: SecretStr) -> SecretStr:
    """A new password, normalized. Raises PydanticCustomError if it is too short or too long."""
    text = normalized(password.get_secret_value())
    if not _MIN_PASSWORD <= len(text) <= _MAX_PASSWORD:
        raise PydanticCustomError(
            "password_length", "Must have at least 8 and at most 128 characters"
        )
    return SecretStr(text)


def _iso_date(value: Any) -> date:
    try:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            return date.fromisoformat(value)
    except ValueError:
        pass  # month 13, year 0
    raise PydanticCustomError("iso_date", "Must be a date, such as 1990-01-31")


def _plausible_birth(day: date) -> date:
    if not _FIRST_BIRTH <= day < datetime.now(UTC).date():
        raise PydanticCustomError("birth", "Must be from 1900-01-01 to yesterday")
    return day


Username = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{3,20}$"),
    otherwise("Must have 3 to 20 characters: letters a to z, digits, _ or -"),
    Field(examples=["john_doe"]),
]
BirthDate = Annotated[
    date,
    BeforeValidator(_iso_date, json_schema_input_type=date),
    AfterValidator(_plausible_birth),
    Field(description="From 1900-01-01 to yesterday, in UTC.", examples=["1990-01-31"]),
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
PastedLinkToken = Annotated[
    LinkToken, BeforeValidator(lambda text: str(text).rpartition("#token=")[2].strip())
]
"""A token that a user pastes, or all of the link that has it."""
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
