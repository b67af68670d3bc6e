"""Overrides of rate limits in the whole service."""

import pytest
from flask.testing import FlaskClient

from app.services import Services
from common.pyportal_common.db import Actor, RateLimitNotFound

LOGIN = "/api/v1/airliner/login"
ATTEMPT = {"username": "nobody", "password": "wrong password"}


def limit_of(client: FlaskClient) -> str | None:
    return client.post(LOGIN, json=ATTEMPT).headers.get("X-RateLimit-Limit")


def test_an_override_is_in_force_until_it_is_cleared(
    client: FlaskClient, services: Services
) -> None:
    overrides = services.limit_overrides
    found = [limit_of(client)]
    for rate in ("3/60", "3/60;shadow"):
        overrides.set("login", rate, by=Actor("jane"))
        overrides.refresh()
        found.append(limit_of(client))
    overrides.clear("login", by=Actor("jane"))
    overrides.refresh()
    found.append(limit_of(client))

    assert found == ["100000", "3", None, "100000"]


def test_limits_inside_the_service_have_overrides_too(
    client: FlaskClient, services: Services
) -> None:
    services.limit_overrides.set("login-failures", "1/60", by=Actor("jane"))
    services.limit_overrides.refresh()

    assert [client.post(LOGIN, json=ATTEMPT).status_code for _ in range(2)] == [401, 429]


def test_only_limits_of_the_service_can_be_set(services: Services) -> None:
    with pytest.raises(RateLimitNotFound, match="email-changes, forgot, login"):
        services.limit_overrides.set("tasks", "3/60", by=Actor("jane"))
