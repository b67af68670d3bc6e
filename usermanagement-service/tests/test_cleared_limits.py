"""`limits clear` of a client, by the name under which each limit counts it."""

import itertools
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.testing.kit import API, bearer

from .conftest import CREDENTIALS, JOHN, LOGIN, Headers, Json, MakeApp, register, session_of

Send = Callable[[FlaskClient, Headers, Json], int]

LIMITS = ("login", "login-failures", "forgot", "email-changes", "reads")
_numbers = itertools.count(1)
WRONG = {**CREDENTIALS, "password": "wrong-horse-battery"}


def log_in_from(address: str) -> Send:
    def send(client: FlaskClient, _: Headers, __: Json) -> int:
        address_of = {"REMOTE_ADDR": address}
        return client.post(LOGIN, json=CREDENTIALS, environ_base=address_of).status_code

    return send


def read_users(client: FlaskClient, headers: Headers, john: Json) -> int:
    return client.get(f"{API}/users/{john['id']}", headers=headers).status_code


def mistype_password(client: FlaskClient, _: Headers, __: Json) -> int:
    wrong = {**WRONG, "username": JOHN["username"].upper()}
    return client.post(LOGIN, json=wrong, environ_base=other_address()).status_code


def forget_password(client: FlaskClient, _: Headers, __: Json) -> int:
    body = {"email": JOHN["email"]}
    return client.post(
        f"{API}/password/forgot", json=body, environ_base=other_address()
    ).status_code


def change_email(client: FlaskClient, headers: Headers, john: Json) -> int:
    body = {"email": f"{next(_numbers)}@example.com", "password": JOHN["password"]}
    return client.patch(f"{API}/users/{john['id']}", json=body, headers=headers).status_code


def other_address() -> dict[str, str]:
    """Another address for each request, so that no limit by address is reached."""
    return {"REMOTE_ADDR": f"198.51.100.{next(_numbers) % 250}"}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    limits = {f"rate_limit_{name.replace('-', '_')}": RateLimit(name, 3, 900) for name in LIMITS}
    return make_app(**limits)


@pytest.mark.parametrize(
    ("name", "limit", "send"),
    [
        ("192.0.2.1", "login", log_in_from("192.0.2.1")),
        ("2001:db8::/64", "login", log_in_from("2001:db8::17")),
        ("user:{id}", "reads", read_users),
        ("name:john_doe", "login-failures", mistype_password),
        ("email:john@example.com", "forgot", forget_password),
        ("id:{id}", "email-changes", change_email),
    ],
)
def test_a_client_that_is_cleared_is_admitted_again(
    app: Flask, name: str, limit: str, send: Send
) -> None:
    client, runner = app.test_client(use_cookies=False), app.test_cli_runner()
    john = register(client)
    headers = bearer(session_of(client))
    name = name.format(id=john["id"])
    statuses = [send(client, headers, john) for _ in range(4)]
    assert statuses[3] == 429
    assert 429 not in statuses[:3]

    shown = runner.invoke(args=["limits", "show", name, "--json"])
    cleared = runner.invoke(args=["limits", "clear", name, "--yes", "--by", "boss"])

    assert f'"rate_limit": "{limit}"' in shown.output
    assert cleared.exit_code == 0, cleared.output
    assert send(client, headers, john) == statuses[0]
