"""Invalid input is refused with a 4xx that names the field, and nothing is stored."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.models import Notification, Webhook
from app.services import Services
from common.pyportal_common.testing.kit import API

from .conftest import WELCOME, Headers, fields_of
from .sender import NOTIFICATIONS, SERVICE, WEBHOOKS

Send = Callable[..., tuple[int, list[str]]]

TO = '"channel": "email", "recipient": "john@example.com"'
NOTE = f'{{{TO}, "subject": "Admission", "message": "It departs"%s}}'
TASK = (
    f'{{{TO}, "template": "task_completed", "data": '
    '{"taskReference": "T-7", "taskType": "x", "details": %s}}'
)


@pytest.fixture
def send(client: FlaskClient, services: Services) -> Send:
    """Sends a body: the status, and the fields that the response names. Nothing is stored."""

    def send(body: str | bytes, path: str = NOTIFICATIONS, user: Headers = SERVICE) -> Any:
        headers = user | {"Content-Type": "application/json"}
        response = client.post(path, data=body, headers=headers)
        with services.database.read() as tx:
            for model in (Notification, Webhook):
                assert tx.scalar(select(func.count()).select_from(model)) == 0
        return response.status_code, fields_of(response)

    return send


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("", 400, "body"),
        ("{", 400, "body"),
        ("\ufeff{}", 400, "body"),
        (b"\xff\xfe{}", 400, "body"),
        ("[]", 422, "body"),
        ("null", 422, "body"),
        (f"{{{TO}}}", 422, "body"),
        (f'{{{TO}, "subject": "Admission"}}', 422, "body"),
        (f'{{{TO}, "message": "7"}}', 422, "body"),
        (f'{{{TO}, "template": "welcome"}}', 422, "body"),
        (f'{{{TO}, "data": {{}}}}', 422, "body"),
        (NOTE % ', "template": "welcome"', 422, "body"),
        (NOTE % ', "data": {}', 422, "body"),
        (NOTE % ', "channel": "email"', 400, "channel"),
        (NOTE % ', "more": 1', 422, "more"),
        (NOTE % ', "status": "sent"', 422, "status"),
        (NOTE % ', "messageId": "x"', 422, "messageId"),
        (NOTE % ', "userId": 0', 422, "userId"),
        (NOTE % ', "userId": -1', 422, "userId"),
        (NOTE % ', "userId": "7"', 422, "userId"),
        (NOTE % ', "userId": 7.5', 422, "userId"),
        (NOTE % ', "userId": true', 422, "userId"),
        (NOTE % ', "userId": 1e400', 422, "userId"),
        (NOTE % ', "userId": 9223372036854775808', 422, "userId"),
        (NOTE % (', "userId": ' + "9" * 5000), 400, "body"),
        (NOTE % ', "userId": NaN', 400, "body"),
        (f'{{{TO}, "template": "{{*}}:", "data": {{}}}}', 422, "template"),
        (f'{{{TO}, "template": "../welcome", "data": {{}}}}', 422, "template"),
        (f'{{{TO}, "template": "page", "data": {{}}}}', 422, "template"),
        (f'{{{TO}, "template": "welcome\\u0000", "data": {{}}}}', 422, "template"),
        (f'{{{TO}, "template": ["welcome"], "data": {{}}}}', 422, "template"),
        (f'{{{TO}, "template": "welcome", "data": []}}', 422, "data"),
        (f'{{{TO}, "template": "welcome", "data": "x"}}', 422, "data"),
        (TASK % "[]", 422, "data.details"),
        (TASK % ("[" * 3000 + "]" * 3000), 400, "body"),
        (TASK % '{"a": "\\u0000"}', 422, "data.details"),
        (TASK % '{"a\\u0000": 1}', 422, "data.details"),
        (TASK % '{"a": 1, "a": 2}', 400, "a"),
        (TASK % '{"a": NaN}', 400, "body"),
        (TASK % '{"a": Infinity}', 400, "body"),
    ],
)
def test_an_invalid_notification_is_refused_and_the_field_named(
    send: Send, body: str | bytes, status: int, field: str
) -> None:
    assert send(body) == (status, [field])


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
        assert send(body.replace(valid, value)) == (422, [field]), value


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("", 400, "body"),
        ("[]", 422, "body"),
        ("{}", 422, "url"),
        ('{"url": "https://example.com/", "secret": "mine"}', 422, "secret"),
        ('{"url": "https://example.com/", "userId": 8}', 422, "userId"),
        ('{"url": "https://example.com/", "url": "https://example.org/"}', 400, "url"),
        ('{"url": {"a": 1}}', 422, "url"),
        ('{"url": "https://example.com/\\u0000"}', 422, "url"),
    ],
)
def test_an_invalid_webhook_is_refused_and_the_field_named(
    send: Send, john: Headers, body: str, status: int, field: str
) -> None:
    assert send(body, WEBHOOKS, john) == (status, [field])


@pytest.mark.parametrize("path", [NOTIFICATIONS, WEBHOOKS])
def test_a_body_of_ten_megabytes_is_a_413(send: Send, john: Headers, path: str) -> None:
    assert send(b"[" * 10_000_000, path, john)[0] == 413


@pytest.mark.parametrize(
    "body",
    [
        NOTE.replace("Admission", "\\ud800") % "",
        NOTE.replace("It departs", "\\udfff") % "",
        NOTE % ', "\\ud800": 1',
        TASK % '{"a": "\\ud800"}',
        TASK % '{"\\ud800": 1}',
    ],
)
def test_half_a_surrogate_pair_is_a_4xx(send: Send, body: str) -> None:
    assert send(body)[0] in {400, 422}


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


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_a_415(client: FlaskClient, kind: str) -> None:
    response = client.post(
        NOTIFICATIONS, data=NOTE % "", headers=SERVICE, content_type=kind or None
    )

    assert response.status_code == 415


@pytest.mark.parametrize("key", ["", " ", "a" * 300, "a\u00e9", "a\tb"])
def test_a_strange_idempotency_key_is_not_a_5xx(client: FlaskClient, key: str) -> None:
    environ = {"HTTP_IDEMPOTENCY_KEY": key.encode().decode("latin-1")}

    response = client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE, environ_overrides=environ)

    assert response.status_code in {202, 400, 422}


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 30, "1.5", "%00", "1%0d%0a", "*"])
@pytest.mark.parametrize(
    "path", ["notifications/{}", "notifications/{}/status", "notifications/{}/attempts"]
)
def test_an_invalid_id_is_a_404(client: FlaskClient, john: Headers, path: str, number: str) -> None:
    response = client.get(f"{API}/{path.format(number)}", headers=john)

    assert response.status_code == 404


def test_an_unexpected_body_is_ignored(client: FlaskClient) -> None:
    path = client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE).headers["Location"]

    response = client.post(f"{path}/retry", data=b"\x00" * 100, headers=SERVICE)

    assert response.status_code == 409
