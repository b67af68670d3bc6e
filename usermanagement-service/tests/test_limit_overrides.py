"""Overrides of rate limits in the whole service."""

from flask.testing import FlaskClient

from app.services import Services
from common.pyportal_common.db import Actor

LOGIN = "/api/v1/airliner/login"
ATTEMPT = {"username": "nobody", "password": "wrong password"}


def limit_of(client: FlaskClient) -> str | None:
    return client.post(LOGIN, json=ATTEMPT).headers.get("X-RateLimit-Limit")


def test_an_override_is_in_force_until_it_is_cleared(
    client: FlaskClient, services: Services
) -> None:
    overrides, in_force = services.limit_overrides, services.overrides_in_force
    found = [limit_of(client)]
    for rate in ("3/60", "3/60;shadow"):
        overrides.set(in_force.declared["login"].parse(rate), by=Actor("jane"))
        in_force.refresh()
        found.append(limit_of(client))
    overrides.clear("login", by=Actor("jane"))
    in_force.refresh()
    found.append(limit_of(client))

    assert found == ["100000", "3", None, "100000"]


def test_limits_inside_the_service_have_overrides_too(
    client: FlaskClient, services: Services
) -> None:
    limit = services.overrides_in_force.declared["login-failures"].parse("1/60")
    services.limit_overrides.set(limit, by=Actor("jane"))
    services.overrides_in_force.refresh()

    assert [client.post(LOGIN, json=ATTEMPT).status_code for _ in range(2)] == [401, 429]
