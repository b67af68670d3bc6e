"""Users hear of logins from where they never logged in before."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event as sql_event
from sqlalchemy import select, text

from app.models import LoginAddress
from app.services import Services

from .conftest import JOHN, LOGIN, mails_in

RIGHT = {"username": JOHN["username"], "password": JOHN["password"]}


@pytest.fixture
def client(app: Flask, john: dict[str, Any]) -> FlaskClient:  # noqa: ARG001  who logs in
    """A client without a cookie jar, and somebody to log in."""
    return app.test_client(use_cookies=False)


def log_in(client: FlaskClient, address: str, password: str = JOHN["password"]) -> int:
    """The status of a login from there."""
    body = RIGHT | {"password": password}
    return client.post(LOGIN, json=body, environ_base={"REMOTE_ADDR": address}).status_code


def networks_in(mine: Services) -> list[str]:
    with mine.database.read() as tx:
        return list(tx.scalars(select(LoginAddress.network).order_by(LoginAddress.first_seen_at)))


def test_the_first_login_is_noted_and_told_to_nobody(client: FlaskClient, mine: Services) -> None:
    assert log_in(client, "192.0.2.1") == 200

    assert networks_in(mine) == ["192.0.2.1"]
    assert mails_in(mine, "new_login") == []


def test_one_from_elsewhere_is_told_once(
    client: FlaskClient, mine: Services, john: dict[str, Any]
) -> None:
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.1"):
        assert log_in(client, address) == 200

    (mail,) = mails_in(mine, "new_login")
    assert (mail["userId"], mail["recipient"]) == (john["id"], john["email"])
    assert set(mail["data"]) == {"username", "address", "at"}
    assert mail["data"]["address"] == "192.0.2.2"
    assert datetime.fromisoformat(mail["data"]["at"]).tzinfo is not None


def test_another_address_of_an_ipv6_network_is_no_elsewhere(
    client: FlaskClient, mine: Services
) -> None:
    for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"):
        log_in(client, address)

    assert [mail["data"]["address"] for mail in mails_in(mine, "new_login")] == [
        "2001:db8:1:3::/64"
    ]


def test_a_wrong_password_is_no_login(client: FlaskClient, mine: Services) -> None:
    log_in(client, "192.0.2.1")
    assert log_in(client, "192.0.2.2", "wrong-horse-battery") == 401

    assert networks_in(mine) == ["192.0.2.1"]
    assert mails_in(mine, "new_login") == []


def test_of_many_logins_at_once_one_is_told(
    app: Flask, client: FlaskClient, mine: Services
) -> None:
    log_in(client, "192.0.2.1")

    with ThreadPoolExecutor(4) as pool:
        clients = [app.test_client(use_cookies=False) for _ in range(8)]
        assert set(pool.map(lambda one: log_in(one, "192.0.2.2"), clients)) == {200}

    assert len(mails_in(mine, "new_login")) == 1


def test_a_hundred_are_kept_and_the_oldest_go(client: FlaskClient, mine: Services) -> None:
    log_in(client, "192.0.2.0")
    with mine.database.begin() as tx:
        first = tx.scalars(select(LoginAddress)).one()
        tx.add_all(
            LoginAddress(
                user_id=first.user_id, network=f"192.0.2.{n}", first_seen_at=first.first_seen_at
            )
            for n in range(1, 100)
        )

    log_in(client, "198.51.100.1")

    kept = networks_in(mine)
    assert len(kept) == 100
    assert kept[-1] == "198.51.100.1"


@pytest.mark.usefixtures("hidden_table")
def test_a_login_is_right_though_it_cannot_be_noted(client: FlaskClient, mine: Services) -> None:
    assert log_in(client, "192.0.2.1") == 200
    assert mails_in(mine, "new_login") == []


@pytest.fixture
def hidden_table(mine: Services) -> Any:
    """While a test runs, SQL has no table of networks."""
    rename(mine, "login_addresses", "hidden")
    yield
    rename(mine, "hidden", "login_addresses")


def rename(mine: Services, table: str, name: str) -> None:
    with mine.database.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


def test_where_the_network_is_known_it_costs_one_read(client: FlaskClient, mine: Services) -> None:
    log_in(client, "192.0.2.1")
    asked: list[str] = []
    note: Callable[..., None] = lambda *given: asked.append(given[2])  # noqa: E731
    sql_event.listen(mine.database.engine, "before_cursor_execute", note)

    log_in(client, "192.0.2.1")

    selects = [statement for statement in asked if statement.startswith("SELECT")]
    assert ["login_addresses" in statement for statement in selects] == [False, True]
    assert not [statement for statement in asked if statement.startswith(("INSERT", "UPDATE"))]
