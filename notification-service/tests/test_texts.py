"""The texts of e-mails: every template, and hostile data in them."""

from email import message_from_bytes, policy
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.deliveries import emails, texts
from app.models import Notification
from app.services import Services
from app.settings import NotificationSettings
from common.pyportal_common.settings import ConfigurationError
from common.pyportal_common.testing.kit import problem_of

from .conftest import WELCOME
from .sender import NOTIFICATIONS, SERVICE

HOSTILE = '<script>alert("1")</script> \' & {{ 7 * 7 }} {% raw %}'
LINK = "https://portal.example/app/verify#token=a&b=<c>"
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
    "email_changed": {
        "username": "john_doe",
        "changedAt": "2026-01-31T09:30:00Z",
        "undoUrl": LINK,
    },
    "factors_changed": {
        "username": "john_doe",
        "change": "app_added",
        "at": "2026-01-31T09:30:00Z",
    },
    "factor_removal": {
        "username": "john_doe",
        "dueAt": "2026-01-31T09:30:00Z",
        "keepUrl": LINK,
    },
    "new_login": {"username": "john_doe", "address": "192.0.2.1", "at": "2026-01-31T09:30:00Z"},
    "task_completed": TASK,
    "task_failed": {"taskReference": "T-7", "taskType": "flight_booking", "error": "Too few seats"},
    "webhook_disabled": {"url": "https://example.com/hook", "reason": "It answered 410"},
}
EXPECTED = {
    "welcome": f"""\
Welcome to the portal, john_doe

Welcome, John!

Your account "john_doe" is ready. Please confirm that this is your e-mail address:

{LINK}

The link works once and expires after seven days. If you did not register, ignore this e-mail.
""",
    "email_verification": f"""\
Confirm your e-mail address

Hello john_doe,

please confirm that this is your e-mail address:

{LINK}

The link works once and expires after seven days. If you did not ask for this, ignore this e-mail.
""",
    "password_reset": f"""\
Set a new password

Hello john_doe,

someone asked to reset the password of your account. If this was you, set a new password here:

{LINK}

The link works once and expires after thirty minutes. If this was not you, ignore this e-mail: your\
 password has not changed.
""",
    "password_changed": """\
Your password was changed

Hello john_doe,

the password of your account was changed on 31 January 2026, 07:30 UTC.

All other sessions have ended. If this was not you, reset your password immediately.
""",
    "email_changed": f"""\
Your e-mail address was changed

Hello john_doe,

the e-mail address of your account was changed on 31 January 2026, 09:30 UTC. This address is not\
 used any more.

If this was not you, restore this address and set a new password here:

{LINK}

The link works once and expires after seven days. If this was you, ignore this e-mail.
""",
    "factors_changed": """\
An authenticator app was added to your account

Hello john_doe,

An authenticator app was added to your account on 31 January 2026, 09:30 UTC.

If this was not you, reset your password immediately, and check your second factors.
""",
    "factor_removal": f"""\
Your second factors will be removed

Hello john_doe,

an admin was asked to remove the authenticator app, the passkeys and the backup codes of your\
 account, because they are lost. This happens on 31 January 2026, 09:30 UTC. From then on your\
 password is enough to log in.

If this was not you, cancel it here, and reset your password:

{LINK}

If this was you, ignore this e-mail.
""",
    "new_login": """\
New login to your account

Hello john_doe,

someone logged in to your account from a new address:

  192.0.2.1, on 31 January 2026, 09:30 UTC

If this was you, you need not do anything. If not, change your password: this ends all sessions.
""",
    "task_completed": """\
Your flight is booked (T-7)

Your flight is booked:

  PY101 from LIS to OSL
  Departure: 2099-01-31T09:30:00Z
  Seats: 2

Reference: T-7
""",
    "task_failed": """\
Your task failed (T-7)

Your task T-7 failed:

  Too few seats

You can retry the task.
""",
    "webhook_disabled": """\
Your webhook is disabled

No more events are sent to your webhook:

  https://example.com/hook

It answered 410. When it works again, enable it and recover the events that it has missed.
""",
}
NOT_UNDOABLE = """\
If this was not you, log in and set a new password and your address, or contact the portal.
"""
OTHER_TASKS: list[tuple[str, dict[str, Any], str]] = [
    (
        "booking_cancellation",
        {"flightNumber": "PY101", "seats": 2},
        "Your booking is cancelled: 2 seats on flight PY101.\n",
    ),
    (
        "data_export",
        {"tasks": 3, "expiresAt": "2099-01-31T09:30:00Z"},
        "Your export of 3 tasks is ready. You can download it until 2099-01-31T09:30:00Z.\n",
    ),
    ("another", {}, "Your task is completed.\n"),
]


def arrived(text: texts.Text) -> tuple[str, str, str]:
    """The subject, the plain text and the HTML of an e-mail that was sent and parsed again."""
    sent = emails.compose(
        text, recipient="john@example.com", sender="portal@localhost", message_id="1"
    )
    mail = message_from_bytes(sent.as_bytes(), policy=policy.default)
    assert not mail.defects
    assert len(mail.keys()) == len(set(mail.keys())) == 8
    plain, html = (part.get_content().replace("\r\n", "\n") for part in mail.iter_parts())
    return str(mail["Subject"]), plain, html


@pytest.mark.parametrize("template", texts.TEMPLATES)
def test_a_template_has_this_text(template: str) -> None:
    subject, plain, html = arrived(texts.render(template, DATA[template]))

    assert f"{subject}\n\n{plain}" == EXPECTED[template]
    assert html.startswith("<!doctype html>")
    assert html.count("<h1>") == html.count("</h1>") == 1
    if LINK in plain:
        assert html.count("https://portal.example/app/verify#token=a&amp;b=&lt;c&gt;") == 2


def test_a_change_that_cannot_be_undone_has_no_link() -> None:
    data = DATA["email_changed"] | {"undoUrl": None}

    _, plain, html = arrived(texts.render("email_changed", data))

    assert plain.endswith(f" used any more.\n\n{NOT_UNDOABLE}")
    assert "http" not in html.partition("<body")[2]


@pytest.mark.parametrize(("task_type", "details", "text"), OTHER_TASKS)
def test_the_text_of_a_task_depends_on_its_type(
    task_type: str, details: dict[str, Any], text: str
) -> None:
    data = TASK | {"taskType": task_type, "details": details}

    subject, plain, _ = arrived(texts.render("task_completed", data))

    assert subject == "Your task is completed (T-7)"
    assert plain == f"{text}\nReference: T-7\n"


@pytest.mark.parametrize("template", texts.TEMPLATES)
def test_hostile_data_is_only_text(template: str) -> None:
    data = {
        name: value if name in {"changedAt", "at", "dueAt", "change", "taskType"} else HOSTILE
        for name, value in DATA[template].items()
    }
    for name in ("verifyUrl", "resetUrl", "undoUrl", "keepUrl", "url"):
        if name in data:
            data[name] = f"https://x/{HOSTILE}"
    if "details" in data:
        data["details"] = dict.fromkeys(FLIGHT, HOSTILE)

    subject, plain, html = arrived(texts.render(template, data))

    assert HOSTILE in plain
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &#39; &amp; {{ 7 * 7 }}" in html
    assert "49" not in subject + plain + html


def test_a_hostile_message_is_only_text() -> None:
    subject, plain, html = arrived(texts.render_message(HOSTILE, f"{HOSTILE}\n.\n\tFrom\n\n"))

    assert subject == HOSTILE
    assert plain == f"{HOSTILE}\n.\n\tFrom\n\n"
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
def test_an_encoded_word_in_a_subject_is_not_decoded(hidden: str) -> None:
    """Python's email library decodes encoded words even when a program sets a header."""
    subject, plain, _ = arrived(texts.render_message(hidden, "It is gate 7.\n"))

    assert subject.strip() == hidden.replace("=?", "= ?")
    assert plain == "It is gate 7.\n"


def test_an_encoded_word_in_an_address_is_refused(client: FlaskClient) -> None:
    body = WELCOME | {"recipient": "=?utf-8?q?a=0d=0aX-One:_b?=@example.com"}

    response = client.post(NOTIFICATIONS, json=body, headers=SERVICE)

    assert problem_of(response) == (422, ["recipient"])


@pytest.mark.parametrize(
    ("template", "change", "field"),
    [
        ("welcome", {"username": "john\r\nBcc: jane@example.com"}, "data.username"),
        ("welcome", {"username": "john\nBcc: jane@example.com"}, "data.username"),
        ("welcome", {"username": "john\x00"}, "data.username"),
        ("welcome", {"username": "john\x85"}, "data.username"),
        ("welcome", {"username": "john\u2028Bcc: jane@example.com"}, "data.username"),
        ("welcome", {"username": "john\u202e"}, "data.username"),
        ("welcome", {"username": ""}, "data.username"),
        ("welcome", {"username": "j" * 201}, "data.username"),
        ("welcome", {"username": None}, "data.username"),
        ("welcome", {"username": ["john"]}, "data.username"),
        ("welcome", {"firstName": "John\r\nBcc: jane@example.com"}, "data.firstName"),
        ("welcome", {"verifyUrl": "javascript:alert(1)"}, "data.verifyUrl"),
        ("welcome", {"verifyUrl": "https://x/\r\nBcc: jane@example.com"}, "data.verifyUrl"),
        ("welcome", {"verifyUrl": "data:text/html,x"}, "data.verifyUrl"),
        ("welcome", {"more": "than wanted"}, "data.more"),
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
def test_invalid_data_is_refused_and_the_field_named(
    client: FlaskClient, services: Services, template: str, change: dict[str, Any], field: str
) -> None:
    body = WELCOME | {"template": template, "data": DATA[template] | change}

    response = client.post(NOTIFICATIONS, json=body, headers=SERVICE)

    assert problem_of(response) == (422, [field])
    assert "dict object" not in response.text
    with services.database.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Notification)) == 0


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
def test_the_sender_is_one_address(mail_from: str) -> None:
    with pytest.raises(ConfigurationError, match="MAIL_FROM"):
        NotificationSettings.load(mail_from=mail_from)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("backup_code_used", "You have 9 more of them. Request new ones before you have none."),
        ("removed_by_admin", "All sessions have ended."),
        ("wrong_codes", "If this was not you, somebody else knows your password: change it."),
    ],
)
def test_a_change_of_second_factors_says_what_to_do(change: str, line: str) -> None:
    data = DATA["factors_changed"] | {"change": change, "codesLeft": 9}

    _, plain, html = arrived(texts.render("factors_changed", data))

    assert line in plain
    assert line in html
    assert "\n\n\n" not in plain
