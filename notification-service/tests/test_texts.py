"""What mails say: each template's text, and what becomes of hostile data."""

from email import message_from_bytes, policy
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app import emails, texts
from app.models import Notification
from app.services import Services
from app.settings import NotificationSettings
from common.pyportal_common.settings import ConfigurationError

from .conftest import NOTIFICATIONS, SERVICE, WELCOME

HOSTILE = '<script>alert("1")</script> \' & {{ 7 * 7 }} {% raw %}'
LINK = "https://portal.example/account/verify#token=a&b=<c>"
FLIGHT = {
    "flightNumber": "PY101",
    "origin": "LIS",
    "destination": "OSL",
    "departsAt": "2099-01-31T09:30:00Z",
    "seats": 2,
}
TASK = {"taskReference": "T-7", "taskType": "flight_booking", "details": FLIGHT}
DATA: dict[str, dict[str, Any]] = {
    "welcome": {"username": "john_doe", "firstName": "John", "verifyUrl": LINK},
    "email_verification": {"username": "john_doe", "verifyUrl": LINK},
    "password_reset": {"username": "john_doe", "resetUrl": LINK},
    "password_changed": {"username": "john_doe", "changedAt": "2026-01-31T09:30:00+02:00"},
    "new_login": {"username": "john_doe", "address": "192.0.2.1", "at": "2026-01-31T09:30:00Z"},
    "task_completed": TASK,
    "task_failed": {"taskReference": "T-7", "taskType": "flight_booking", "error": "Too few seats"},
}
SAID = {
    "welcome": (
        "Welcome to the portal, john_doe",
        f"""\
Welcome, John!

Your account "john_doe" is ready. Please confirm that this address is yours:

{LINK}

The link works once, for seven days. If you did not register, ignore this mail.
""",
    ),
    "email_verification": (
        "Confirm your new address",
        f"""\
john_doe, please confirm that this address is yours:

{LINK}

The link works once, for seven days. If you know nothing of this, ignore this mail.
""",
    ),
    "password_reset": (
        "Set a new password",
        f"""\
john_doe, somebody asked to set a new password for your account. If that was you, do it here:

{LINK}

The link works once, for thirty minutes. If it was not you, ignore this mail: nothing has changed.
""",
    ),
    "password_changed": (
        "Your password was changed",
        """\
john_doe, the password of your account was changed on 31 January 2026, 07:30 UTC.

All other sessions have ended. If this was not you, set a new password at once.
""",
    ),
    "new_login": (
        "A login from a new address",
        """\
john_doe, somebody logged in to your account from an address that we had not seen before:

  192.0.2.1, on 31 January 2026, 09:30 UTC

If that was you, all is well. If not, change your password: that ends all sessions.
""",
    ),
    "task_completed": (
        "Your flight is booked (T-7)",
        """\
Your flight is booked:

  PY101 from LIS to OSL
  departs 2099-01-31T09:30:00Z
  seats: 2

The reference is T-7.
""",
    ),
    "task_failed": (
        "Your task failed (T-7)",
        """\
Your task T-7 could not be done:

  Too few seats

You can let it try again.
""",
    ),
}
OTHER_TASKS: list[tuple[str, dict[str, Any], str]] = [
    (
        "booking_cancellation",
        {"flightNumber": "PY101", "seats": 2},
        "Your booking is cancelled: 2 seats on flight PY101.\n",
    ),
    (
        "data_export",
        {"tasks": 3, "expiresAt": "2099-01-31T09:30:00Z"},
        "Your export is ready, with 3 tasks. It can be downloaded until 2099-01-31T09:30:00Z.\n",
    ),
    ("another", {}, "Your task is done.\n"),
]


def arrived(text: texts.Text) -> tuple[str, str, str]:
    """The subject and both texts as somebody reads them who got the mail."""
    sent = emails.compose(
        text, recipient="john@example.com", sender="portal@localhost", message_id="1"
    )
    mail = message_from_bytes(sent.as_bytes(), policy=policy.default)
    assert not mail.defects
    assert len(mail.keys()) == len(set(mail.keys())) == 8
    plain, html = (part.get_content().replace("\r\n", "\n") for part in mail.iter_parts())
    return str(mail["Subject"]), plain, html


@pytest.mark.parametrize("template", texts.TEMPLATES)
def test_a_template_says_what_it_should(template: str) -> None:
    subject, plain, html = arrived(texts.render(template, DATA[template]))

    assert (subject, plain) == SAID[template]
    assert html.startswith("<!doctype html>")
    assert html.count("<h1>") == html.count("</h1>") == 1
    if LINK in plain:
        assert html.count("https://portal.example/account/verify#token=a&amp;b=&lt;c&gt;") == 2


@pytest.mark.parametrize(("task_type", "details", "said"), OTHER_TASKS)
def test_tasks_of_other_types_have_words_of_their_own(
    task_type: str, details: dict[str, Any], said: str
) -> None:
    data = TASK | {"taskType": task_type, "details": details}

    subject, plain, _ = arrived(texts.render("task_completed", data))

    assert subject == "Your task is done (T-7)"
    assert plain == f"{said}\nThe reference is T-7.\n"


@pytest.mark.parametrize("template", texts.TEMPLATES)
def test_hostile_data_is_text_and_nothing_else(template: str) -> None:
    data = {
        name: value if name in {"changedAt", "at", "taskType"} else HOSTILE
        for name, value in DATA[template].items()
    }
    for name in ("verifyUrl", "resetUrl"):
        if name in data:
            data[name] = f"https://x/{HOSTILE}"
    if "details" in data:
        data["details"] = dict.fromkeys(FLIGHT, HOSTILE)

    subject, plain, html = arrived(texts.render(template, data))

    assert HOSTILE in plain
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &#39; &amp; {{ 7 * 7 }}" in html
    assert "49" not in subject + plain + html


def test_free_text_is_text_too() -> None:
    subject, plain, html = arrived(texts.free(HOSTILE, f"{HOSTILE}\n.\n\tFrom here\n"))

    assert subject == HOSTILE
    assert plain == f"{HOSTILE}\n.\n\tFrom here\n\n"
    assert "<script" not in html


@pytest.mark.parametrize(
    "hidden",
    [
        "=?utf-8?q?Hi=0d=0aReply-To:_evil@example.com=0d=0a=0d=0aAnother_text?=",
        "=?utf-8?b?SGkNClJlcGx5LVRvOiBldmlsQGV4YW1wbGUuY29t?=",
        "=?utf-8?q?" + "x" * 60 + "=0aReply-To:_evil@example.com?= and more",
        "=?utf-8?q?=00?=",
        "==??utf-8?q?=0d=0aReply-To:_evil@example.com?==",
    ],
)
def test_a_subject_hides_no_headers(hidden: str) -> None:
    """Python's parser decodes encoded words even where a program sets a header."""
    subject, plain, _ = arrived(texts.free(hidden, "It is gate 7."))

    assert subject.strip() == hidden.replace("=?", "= ?")
    assert plain == "It is gate 7.\n"


def test_nor_does_an_address(client: FlaskClient) -> None:
    body = WELCOME | {"recipient": "=?utf-8?q?a=0d=0aX-One:_b?=@example.com"}

    answer = client.post(NOTIFICATIONS, json=body, headers=SERVICE)

    assert answer.status_code == 422
    assert answer.json is not None
    assert [detail["field"] for detail in answer.json["details"]] == ["recipient"]
    with pytest.raises(ValueError, match="=\\?"):
        emails.deliverable(body["recipient"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "john\r\nBcc: jane@example.com"}, "username"),
        ({"username": "john\nBcc: jane@example.com"}, "username"),
        ({"username": "john\x00"}, "username"),
        ({"username": "john\x85"}, "username"),
        ({"username": "john\u2028Bcc: jane@example.com"}, "username"),
        ({"username": "john\u202e"}, "username"),
        ({"username": ""}, "username"),
        ({"username": "j" * 201}, "username"),
        ({"username": None}, "username"),
        ({"username": ["john"]}, "username"),
        ({"firstName": "John\r\n"}, "firstName"),
        ({"verifyUrl": "javascript:alert(1)"}, "verifyUrl"),
        ({"verifyUrl": "https://x/\r\nBcc: jane@example.com"}, "verifyUrl"),
        ({"verifyUrl": "data:text/html,x"}, "verifyUrl"),
        ({"more": "than wanted"}, "more"),
    ],
)
def test_a_field_that_would_break_out_is_refused_and_named(
    client: FlaskClient, mine: Services, change: dict[str, Any], field: str
) -> None:
    body = WELCOME | {"data": WELCOME["data"] | change}

    answer = client.post(NOTIFICATIONS, json=body, headers=SERVICE)

    assert answer.status_code == 422
    assert answer.json is not None
    assert [detail["field"] for detail in answer.json["details"]] == [f"data.{field}"]
    with mine.database.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Notification)) == 0


@pytest.mark.parametrize(
    ("template", "change", "field"),
    [
        ("password_changed", {"changedAt": "0001-01-01T00:00:00+14:00"}, "data.changedAt"),
        ("password_changed", {"changedAt": "9999-12-31T23:59:59-14:00"}, "data.changedAt"),
        ("password_changed", {"changedAt": "2026-01-31T09:30:00"}, "data.changedAt"),
        ("password_changed", {"changedAt": "now"}, "data.changedAt"),
        ("password_changed", {"changedAt": 1e300}, "data.changedAt"),
        ("new_login", {"address": "192.0.2.1\r\nBcc: x"}, "data.address"),
        ("task_completed", {"details": FLIGHT | {"origin": "L\x00S"}}, "data.details"),
        ("task_completed", {"details": FLIGHT | {"more": [{"a\x1b": 1}]}}, "data.details"),
        ("task_completed", {"details": {}}, "data"),
        ("task_completed", {"details": {"flightNumber": "PY101"}}, "data"),
        ("task_completed", {"taskReference": "T-7\r\nBcc: x"}, "data.taskReference"),
        ("task_failed", {"error": "No\r\n\r\nseats"}, "data.error"),
        ("task_failed", {"error": "\U000e0001"}, "data.error"),
    ],
)
def test_so_is_one_of_another_template(
    client: FlaskClient, template: str, change: dict[str, Any], field: str
) -> None:
    body = WELCOME | {"template": template, "data": DATA[template] | change}

    answer = client.post(NOTIFICATIONS, json=body, headers=SERVICE)

    assert answer.status_code == 422
    assert answer.json is not None
    assert [detail["field"] for detail in answer.json["details"]] == [field]


@pytest.mark.parametrize(
    "mail_from",
    [
        "portal@example.com\r\nBcc: jane@example.com",
        "portal@example.com\n",
        "portal@example.com, jane@example.com",
        "portal,jane@example.com",
        "Portal <portal@example.com>",
        "portal;@example.com",
        "=?utf-8?q?a?=@example.com",
        "portal@b\u00fccher.example",
        "portal",
        "@example.com",
    ],
)
def test_who_mails_are_from_is_one_address(mail_from: str) -> None:
    with pytest.raises(ConfigurationError, match="MAIL_FROM"):
        NotificationSettings.load(mail_from=mail_from)
