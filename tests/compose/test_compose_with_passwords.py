"""The same as in production, with all secrets. In a module of its own: two projects cannot run at
once.
"""

import json
from collections.abc import Iterator

import pytest

from .conftest import PASSWORD, SERVICES, Compose, up
from .desk import Desk
from .mails import mail

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The portal with passwords that every layer would like to misread."""
    odd = "o'dd \"p%40ss\\w$rd#;{}"
    yield from up(
        COMPOSE_FILE="docker-compose.yml:docker-compose.production.yml",
        PUBLIC_URL="https://portal.example.com",
        REDIS_PASSWORD=odd,
        POSTGRES_PASSWORD=odd,
        USERS_DB_PASSWORD=odd,
        TASKS_DB_PASSWORD=odd,
        NOTIFICATIONS_DB_PASSWORD=odd,
        USERMANAGEMENT_TOKEN=f"users {odd}",
        TASKPROCESSING_TOKEN=f"tasks {odd}",
        NOTIFICATION_TOKEN=f"notifications {odd}",
    )


def test_everything_works_and_redis_asks_for_it(compose: Compose) -> None:
    assert compose.register("john_doe") == 201
    assert compose.login("john_doe")[0] == 200
    cached = json.loads(compose("exec", "-T", "redis", "redis-cli", "get", "user:1"))
    assert cached["username"] == "john_doe"
    assert compose.errors("exec", "-T", "redis", "redis-cli", "ping") == ""
    assert compose.request("GET", "/health", port=compose.tasks_port)[1]["status"] == "ok"
    stranger = ("exec", "-T", "redis", "env", "-u", "REDISCLI_AUTH", "redis-cli", "ping")
    assert "NOAUTH" in compose(*stranger, check=False)


def test_services_know_each_other_by_their_tokens(compose: Compose) -> None:
    compose.register("maria")

    welcome = mail(compose, "maria@example.com", "Welcome to the portal, maria")
    assert "https://portal.example.com/account/verify#token=" in welcome
    Desk(compose, "PY1").book(1)
    assert "PY1 from LIS to OSL" in mail(compose, "boss@example.com", "Your flight is booked")


def test_no_password_is_an_argument_or_in_an_image(compose: Compose) -> None:
    for service in ("redis", "db", *SERVICES):
        running = compose("exec", "-T", service, "sh", "-c", "cat /proc/[0-9]*/cmdline")
        assert running
        assert "p%40ss" not in running
    for service in ("usermanagement", "taskprocessing", "notification"):
        image = f"pyportal-{service}"
        layers = compose.docker("history", "--no-trunc", image)
        layers += compose.docker("image", "inspect", image)
        for secret in ("p%40ss", PASSWORD, "PGPASSWORD", "REDIS_PASSWORD", "SERVICE_TOKEN"):
            assert secret not in layers


def test_whatever_is_stopped_ends_by_itself(compose: Compose) -> None:
    """The last one: nothing runs after it."""
    compose("stop")

    for service in ("redis", "db", *SERVICES):
        assert compose.container(service)["State"]["ExitCode"] == 0, service
