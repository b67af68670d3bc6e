"""Invalid input is refused with a 4xx that names the field, and nothing is stored."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.models import Notification, Webhook
from app.services import Services
from common.pyportal_common.testing.kit import problem_of

from .conftest import WELCOME, Headers
from .sender import NOTIFICATIONS, SERVICE, WEBHOOKS

Send = Callable[..., list[str]]

TO = '"channel": "email", "recipient": "john@example.com"'
NOTE = f'{{{TO}, "subject": "Admission", "message": "It departs"%s}}'
TASK = (
    f'{{{TO}, "template": "task_completed", "data": '
    '{"taskReference": "T-7", "taskType": "x", "details": %s}}'
)


@pytest.fixture
def send(client: FlaskClient, services: Services) -> Send:
    """Sends a body that is refused: the fields that the response names. Nothing is stored."""

    def send(body: str | bytes, path: str = NOTIFICATIONS, user: Headers = SERVICE) -> Any:
        headers = user | {"Content-Type": "application/json"}
        response = client.post(path, data=body, headers=headers)
        with services.database.read() as tx:
            for model in (Notification, Webhook):
                assert tx.scalar(select(func.count()).select_from(model)) == 0
        status, fields = problem_of(response)
        assert status == 422
        return fields

    return send


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (f"{{{TO}}}", "body"),
        (f'{{{TO}, "subject": "Admission"}}', "body"),
        (f'{{{TO}, "message": "7"}}', "body"),
        (f'{{{TO}, "template": "welcome"}}', "body"),
        (f'{{{TO}, "data": {{}}}}', "body"),
        (NOTE % ', "template": "welcome"', "body"),
        (NOTE % ', "data": {}', "body"),
        (NOTE % ', "more": 1', "more"),
        (NOTE % ', "status": "sent"', "status"),
        (NOTE % ', "messageId": "x"', "messageId"),
        (NOTE % ', "userId": 0', "userId"),
        (NOTE % ', "userId": -1', "userId"),
        (NOTE % ', "userId": "7"', "userId"),
        (NOTE % ', "userId": 7.5', "userId"),
        (NOTE % ', "userId": true', "userId"),
        (NOTE % ', "userId": 1e400', "userId"),
        (NOTE % ', "userId": 9223372036854775808', "userId"),
        (f'{{{TO}, "template": "{{*}}:", "data": {{}}}}', "template"),
        (f'{{{TO}, "template": "../welcome", "data": {{}}}}', "template"),
        (f'{{{TO}, "template": "page", "data": {{}}}}', "template"),
        (f'{{{TO}, "template": "welcome\\u0000", "data": {{}}}}', "template"),
        (f'{{{TO}, "template": ["welcome"], "data": {{}}}}', "template"),
        (f'{{{TO}, "template": "welcome", "data": []}}', "data"),
        (f'{{{TO}, "template": "welcome", "data": "x"}}', "data"),
        (TASK % "[]", "data.details"),
        (TASK % '{"a": "\\u0000"}', "data.details"),
        (TASK % '{"a\\u0000": 1}', "data.details"),
    ],
)
def test_an_invalid_notification_is_refused_and_the_field_named(
    send: Send, body: str | bytes, field: str
) -> None:
    assert send(body) == [field]


@pytest.mark.parametrize(
    ("field", "valid", "values"),
    [
        (
            "recipient",
            "john@example.com",
            [
                "",
                "john",
                "@example.com",
                "john@",
                "john@localhost",
                "john@127.0.0.1",
                "john@[127.0.0.1]",
                "john@example..com",
                "john@example.com, jane@example.com",
                "john@example.com\\r\\nBcc: jane@example.com",
                "john@example.com\\n",
                "john\\u0000@example.com",
                "John <john@example.com>",
                "john @example.com",
                "=?utf-8?q?a=00?=@example.com",
                "john\\u202e@example.com",
                "a" * 300 + "@example.com",
                "a" * 2001,
                "https://example.com/",
            ],
        ),
        (
            "subject",
            "Admission",
            ["", "a\\r\\nBcc: x", "a\\n", "a\\u0000", "a\\u2028", "\\u0085", "\\u202ea", "x" * 201],
        ),
        (
            "message",
            "It departs",
            ["", "a\\u0000", "a\\r\\nb", "\\u001b[31m", "\\u202ea", "x" * 10_001],
        ),
    ],
)
def test_a_recipient_is_one_address_a_subject_one_line_and_a_message_readable(
    send: Send, field: str, valid: str, values: list[str]
) -> None:
    body = NOTE % ""
    assert body.count(valid) == 1

    for value in values:
        assert send(body.replace(valid, value)) == [field], value


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{}", "url"),
        ('{"url": "https://example.com/", "secret": "mine"}', "secret"),
        ('{"url": "https://example.com/", "userId": 8}', "userId"),
        ('{"url": {"a": 1}}', "url"),
        ('{"url": "https://example.com/\\u0000"}', "url"),
    ],
)
def test_an_invalid_webhook_is_refused_and_the_field_named(
    send: Send, john: Headers, body: str, field: str
) -> None:
    assert send(body, WEBHOOKS, john) == [field]


@pytest.mark.parametrize(
    "value",
    ["1e400", "-1e400", "9" * 4000, "0." + "1" * 4000, '{"a": ' * 150 + "1" + "}" * 150],
    ids=["infinite", "minus infinite", "long", "precise", "deep"],
)
def test_an_extreme_value_is_refused_or_shown(client: FlaskClient, value: str) -> None:
    response = client.post(
        NOTIFICATIONS,
        data=TASK % f'{{"a": {value}}}',
        headers=SERVICE | {"Content-Type": "application/json"},
    )

    assert response.status_code in {202, 422}
    if response.status_code == 202:
        shown = client.get(response.headers["Location"], headers=SERVICE)
        assert shown.status_code == 200


@pytest.mark.parametrize("key", ["", " ", "a" * 300, "a\u00e9", "a\tb"])
def test_a_strange_idempotency_key_is_not_a_5xx(client: FlaskClient, key: str) -> None:
    environ = {"HTTP_IDEMPOTENCY_KEY": key.encode().decode("latin-1")}

    response = client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE, environ_overrides=environ)

    assert response.status_code in {202, 400, 422}


def test_an_unexpected_body_is_ignored(client: FlaskClient) -> None:
    path = client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE).headers["Location"]

    response = client.post(f"{path}/retry", data=b"\x00" * 100, headers=SERVICE)

    assert response.status_code == 409
