"""The texts of notifications: templates, the data of each, and users' own messages."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    UndefinedError,
    select_autoescape,
)
from pydantic import AfterValidator, AwareDatetime, StringConstraints, create_model
from pydantic_core import PydanticCustomError

from common.pyportal_common.fields import Id, Line, PersonName, is_one_line
from common.pyportal_common.web import Schema

from ..errors import UnusableData
from ..models import Notification

_MAX_SHORT = 200  # characters
_FOLDER = Path(__file__).parent / "templates"


def _http(url: str) -> str:
    if not is_one_line(url):
        raise PydanticCustomError("one_line", "Must be one line without control characters")
    if not url.startswith(("http://", "https://")):
        raise PydanticCustomError("link", "Must begin with https:// or http://")
    return url


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # at the ends of the years 1 and 9999
        raise PydanticCustomError("moment", "Must be in the years 1 to 9999 in UTC") from None


def is_readable(text: str) -> bool:
    """Whether the text has no control characters except line breaks and tabs."""
    return is_one_line(text.replace("\n", "").replace("\t", ""))


def _all_readable(details: dict[str, Any]) -> dict[str, Any]:
    if not all(is_readable(text) for text in _texts_in(details)):
        raise PydanticCustomError("readable", "Must not contain control characters")
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


_Url = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_http)]
Link = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_http)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
FactorChange = Literal[
    "app_added",
    "app_removed",
    "passkey_added",
    "passkey_removed",
    "backup_codes_renewed",
    "backup_code_used",
    "wrong_codes",
    "removal_cancelled",
    "removed_by_admin",
]
"""What has happened to the second factors of a user."""
Details = Annotated[dict[str, Any], AfterValidator(_all_readable)]


def _data(name: str, **fields: Any) -> type[Schema]:
    return create_model(name, __base__=Schema, **fields)


_TASK: dict[str, Any] = {"task_id": (Id | None, None), "task_reference": Line, "task_type": Line}

TEMPLATES: dict[str, type[Schema]] = {
    "welcome": _data(
        "Welcome", username=Line, first_name=(PersonName | None, None), verify_url=Link
    ),
    "email_verification": _data("EmailVerification", username=Line, verify_url=Link),
    "password_reset": _data("PasswordReset", username=Line, reset_url=Link),
    "password_changed": _data("PasswordChanged", username=Line, changed_at=Moment),
    "email_changed": _data(
        "EmailChanged", username=Line, changed_at=Moment, undo_url=(Link | None, None)
    ),
    "factors_changed": _data(
        "FactorsChanged",
        username=Line,
        change=FactorChange,
        at=Moment,
        codes_left=(int | None, None),
    ),
    "factor_removal": _data("FactorRemoval", username=Line, due_at=Moment, keep_url=Link),
    "new_login": _data("NewLogin", username=Line, address=Line, at=Moment),
    "task_completed": _data("TaskCompleted", **_TASK, details=(Details, {})),
    "task_failed": _data("TaskFailed", **_TASK, error=Line),
    "webhook_disabled": _data("WebhookDisabled", url=_Url, reason=Line),
}
"""The templates, and the data that each requires."""


@dataclass(frozen=True)
class Text:
    """The text of an e-mail, in plain text and in HTML, and a short one for the inbox."""

    subject: str
    short: str
    plain: str
    html: str


def text_of(notification: Notification) -> Text:
    """The text of a notification."""
    if notification.template is not None:
        return render(notification.template, notification.data)
    return render_message(notification.subject or "", f"{notification.message}\n")


def render(template: str, data: dict[str, Any]) -> Text:
    """Render a template with this data. Raises UnusableData.

    Its first line is the subject, its second one the short text, which contains no secret link.
    """
    values = TEMPLATES[template].model_validate_json(json.dumps(data)).model_dump()
    try:
        rendered = _environment().get_template(f"{template}.txt").render(values)
    except UndefinedError as error:
        *_, missing = re.findall(r"'(\w+)'", str(error))  # the text is meant for developers
        raise UnusableData(f"This template needs {missing}") from None
    head, _, plain = rendered.partition("\n\n")
    subject, _, short = head.partition("\n")
    links = (values.get(name) for name in ("verify_url", "reset_url", "undo_url", "keep_url"))
    page = _page(subject, plain, next(filter(None, links), None))
    return Text(subject, shortened(short), plain, page)


def render_message(subject: str, plain: str) -> Text:
    """The text of a message, and an HTML page with its paragraphs."""
    return Text(subject, shortened(plain), plain, _page(subject, plain))


def shortened(text: str) -> str:
    """The beginning of a text, in one line of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_SHORT else line[: _MAX_SHORT - 1] + "…"


def _page(subject: str, plain: str, link: str | None = None) -> str:
    """An HTML page. The paragraph that is the link becomes a button."""
    page = _environment().get_template("page.html")
    return page.render(subject=subject, paragraphs=plain.strip("\n").split("\n\n"), link=link)


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
    environment.filters["moment"] = _format_moment
    return environment


def _format_moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%d %B %Y, %H:%M} UTC"
