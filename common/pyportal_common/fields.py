"""Field types that several services validate: each has one definition, so that none refuses what
another has accepted.
"""

import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from .extras import requires

with requires("email"):
    from email_validator import EmailNotValidError, ValidatedEmail, validate_email

MAX_ID = 10**18 - 1

# Unicode's categories of controls, formats, unassigned characters and line breaks.
_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # formats that names in some scripts require
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]"
)


def parse_email(text: str) -> ValidatedEmail:
    """The parts of an e-mail address. Raises PydanticCustomError if it is not one.

    An address that looks like an encoded word (`=?utf-8?q?x?=`) is refused: Python's email library
    would decode it, and the result can contain more headers.
    """
    # Not pydantic's EmailStr, which also accepts "John <john@example.com>" and drops the name.
    if "=?" in text:
        raise PydanticCustomError("email", "Must not contain =?")
    try:
        return validate_email(text, check_deliverability=False)
    except EmailNotValidError as error:
        if "reserved" in str(error):
            raise PydanticCustomError("email", "Must not be in a reserved domain") from None
        message = "Must be an e-mail address, such as john@example.com"
        raise PydanticCustomError("email", message) from None


def normalized_email(text: str) -> str:
    """The normalized form of an e-mail address. Raises PydanticCustomError if it is not one."""
    return parse_email(text).normalized


def is_one_line(text: str) -> bool:
    """Whether the text has no line breaks, control characters or hidden formats."""
    return not any(
        unicodedata.category(char) in _FORBIDDEN and char not in _JOINERS for char in text
    )


def _visible(text: str) -> str:
    if not is_one_line(text) or _INVISIBLE.search(text) or not any(char.isalnum() for char in text):
        raise PydanticCustomError(
            "unprintable", "Must contain a letter or digit, and no invisible characters"
        )
    return text


def _composed(value: Any) -> Any:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _one_line(text: str) -> str:
    if not is_one_line(text):
        raise PydanticCustomError("one_line", "Must be one line without control characters")
    return text


def _true_or_false(text: object) -> bool:
    if text not in ("true", "false"):
        raise PydanticCustomError("flag", "Must be true or false")
    return text == "true"


Email = Annotated[
    str,
    StringConstraints(max_length=254),
    AfterValidator(normalized_email),
    Field(examples=["john@example.com"], json_schema_extra={"format": "email"}),
]
"""An e-mail address, normalized."""

PersonName = Annotated[
    str,
    BeforeValidator(_composed),  # first: it may change the length
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(_visible),
    Field(examples=["John"]),
]
"""A first or last name."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_one_line)]
"""A text in one line. Every `PersonName` is one."""

Id = Annotated[int, Field(ge=1, le=MAX_ID, examples=[1])]
"""The id of a row in SQL, as routes accept it in paths."""

Flag = Annotated[bool, BeforeValidator(_true_or_false, json_schema_input_type=bool)]
"""A boolean query parameter: `true` or `false`, not `1` or `yes`, which pydantic would accept."""
