"""What notifications say: templates, the data that each needs, and free text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints
from pydantic_core import PydanticCustomError

from common.pyportal_common.web import Schema

_FOLDER = Path(__file__).parent / "templates"


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("one_line", "must be one line of readable text")
    return text


def _http(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise PydanticCustomError("link", "must be a link that begins with http:// or https://")
    return url


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # as at the end of the year 9999, to the west
        raise PydanticCustomError(
            "moment", "must be a moment of a year that has four digits"
        ) from None


def is_readable(text: str) -> bool:
    """Whether it has no controls but line breaks and tabs: nothing else is what a mail shows."""
    return all(sign.isprintable() or sign in "\n\t" for sign in text)


def _all_readable(details: dict[str, Any]) -> dict[str, Any]:
    if not all(is_readable(text) for text in _texts_in(details)):
        raise PydanticCustomError("readable", "must be readable text, all of it")
    return details


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in (*value.keys(), *value.values()):
            yield from _texts_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts_in(part)


Line = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_one_line)]
Link = Annotated[
    str, StringConstraints(max_length=1000), AfterValidator(_one_line), AfterValidator(_http)
]

Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Details = Annotated[dict[str, Any], AfterValidator(_all_readable)]


class Welcome(Schema):
    """A user has registered."""

    username: Line
    first_name: Line | None = None
    verify_url: Link


class EmailVerification(Schema):
    """A user has another address."""

    username: Line
    verify_url: Link


class PasswordReset(Schema):
    """A user has forgotten the password."""

    username: Line
    reset_url: Link


class PasswordChanged(Schema):
    """A user has another password."""

    username: Line
    changed_at: Moment


class NewLogin(Schema):
    """A user has logged in from an address they never did before."""

    username: Line
    address: Line
    at: Moment


class TaskCompleted(Schema):
    """A task is done."""

    task_reference: Line
    task_type: Line
    details: Details = Field(default_factory=dict)


class TaskFailed(Schema):
    """A task could not be done."""

    task_reference: Line
    task_type: Line
    error: Line


TEMPLATES: dict[str, type[Schema]] = {
    "welcome": Welcome,
    "email_verification": EmailVerification,
    "password_reset": PasswordReset,
    "password_changed": PasswordChanged,
    "new_login": NewLogin,
    "task_completed": TaskCompleted,
    "task_failed": TaskFailed,
}


@dataclass(frozen=True)
class Text:
    """What a mail says. The same in plain text and in HTML."""

    subject: str
    plain: str
    html: str


def render(template: str, data: dict[str, Any]) -> Text:
    """What a template says with this data."""
    given = TEMPLATES[template].model_validate_json(json.dumps(data)).model_dump()
    environment = _environment()
    subject = environment.get_template(f"{template}.subject.txt").render(given)
    return Text(
        subject=" ".join(subject.split()),
        plain=environment.get_template(f"{template}.txt").render(given),
        html=environment.get_template(f"{template}.html").render(given),
    )


def free(subject: str, message: str) -> Text:
    """What somebody wrote themselves."""
    html = _environment().get_template("free.html").render(subject=subject, message=message)
    return Text(subject, message + "\n", html)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["moment"] = _moment
    return environment


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%d %B %Y, %H:%M} UTC"
