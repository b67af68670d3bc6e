"""Notifications about logins from new networks."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from app.models import LoginNetwork
from app.services import Services
from common.pyportal_common.testing.kit import statements_of

from .conftest import CREDENTIALS, LOGIN, Json, mails_in

pytestmark = pytest.mark.usefixtures("john")


def log_in_from(client: FlaskClient, address: str, **changes: str) -> int:
    """The status of a login."""
    body = CREDENTIALS | changes
    return client.post(LOGIN, json=body, environ_base={"REMOTE_ADDR": address}).status_code


def networks_in(services: Services) -> list[str]:
    with services.database.read() as tx:
        return list(tx.scalars(select(LoginNetwork.network).order_by(LoginNetwork.first_seen_at)))


def test_the_first_login_is_recorded_without_a_notification(
    client: FlaskClient, services: Services
) -> None:
    assert log_in_from(client, "192.0.2.1") == 200

    assert networks_in(services) == ["192.0.2.1"]
    assert mails_in(services, "new_login") == []


def test_a_new_network_is_notified_once(
    client: FlaskClient, services: Services, john: Json
) -> None:
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.1"):
        assert log_in_from(client, address) == 200

    (mail,) = mails_in(services, "new_login")
    assert (mail["userId"], mail["recipient"]) == (john["id"], john["email"])
    assert set(mail["data"]) == {"username", "address", "at"}
    assert mail["data"]["address"] == "192.0.2.2"
    assert datetime.fromisoformat(mail["data"]["at"]).tzinfo is not None


def test_all_addresses_of_an_ipv6_network_are_one(client: FlaskClient, services: Services) -> None:
    for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"):
        log_in_from(client, address)

    (mail,) = mails_in(services, "new_login")
    assert mail["data"]["address"] == "2001:db8:1:3::/64"


def test_a_wrong_password_is_not_recorded(client: FlaskClient, services: Services) -> None:
    log_in_from(client, "192.0.2.1")
    assert log_in_from(client, "192.0.2.2", password="wrong-horse-battery") == 401

    assert networks_in(services) == ["192.0.2.1"]
    assert mails_in(services, "new_login") == []


def test_concurrent_logins_notify_once(app: Flask, client: FlaskClient, services: Services) -> None:
    log_in_from(client, "192.0.2.1")

    with ThreadPoolExecutor(4) as pool:
        clients = [app.test_client(use_cookies=False) for _ in range(8)]
        assert set(pool.map(lambda one: log_in_from(one, "192.0.2.2"), clients)) == {200}

    assert len(mails_in(services, "new_login")) == 1


def test_the_newest_hundred_are_kept(client: FlaskClient, services: Services) -> None:
    log_in_from(client, "192.0.2.0")
    with services.database.begin() as tx:
        first = tx.scalars(select(LoginNetwork)).one()
        tx.add_all(
            LoginNetwork(
                user_id=first.user_id, network=f"192.0.2.{n}", first_seen_at=first.first_seen_at
            )
            for n in range(1, 100)
        )

    log_in_from(client, "198.51.100.1")

    kept = networks_in(services)
    assert len(kept) == 100
    assert kept[-1] == "198.51.100.1"


@pytest.fixture
def hidden_table(services: Services) -> Iterator[None]:
    """SQL has no table of networks during a test."""
    rename(services, "login_addresses", "hidden")
    yield
    rename(services, "hidden", "login_addresses")


def rename(services: Services, table: str, name: str) -> None:
    with services.database.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


@pytest.mark.usefixtures("hidden_table")
def test_a_login_that_cannot_be_recorded_succeeds(client: FlaskClient, services: Services) -> None:
    assert log_in_from(client, "192.0.2.1") == 200
    assert mails_in(services, "new_login") == []


def test_a_known_network_costs_one_read(client: FlaskClient, services: Services) -> None:
    log_in_from(client, "192.0.2.1")
    statements = statements_of(services.database)

    log_in_from(client, "192.0.2.1")

    selects = [statement for statement in statements if statement.startswith("SELECT")]
    assert ["login_addresses" in statement for statement in selects].count(True) == 1
    assert not [each for each in statements if each.startswith(("INSERT", "UPDATE"))]
