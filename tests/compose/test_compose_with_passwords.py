"""docker-compose.production.yml. In its own module, because two projects cannot run at once."""

import json
from collections.abc import Iterator

import pytest

from ..portal_api import PASSWORD, User
from .conftest import NAMES, SERVICES, Compose, running_compose
from .test_compose import SECRETS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The portal with passwords that contain special characters of every layer."""
    odd = "o'dd \"p%40ss\\w$rd#;{}"
    token = odd.replace(" ", "-")  # which tokens must not have
    yield from running_compose(
        COMPOSE_FILE="docker-compose.yml:docker-compose.production.yml",
        PUBLIC_URL="https://portal.example.com",
        REDIS_PASSWORD=odd,
        POSTGRES_PASSWORD=odd,
        USERS_DB_PASSWORD=odd,
        TASKS_DB_PASSWORD=odd,
        NOTIFICATIONS_DB_PASSWORD=odd,
        USERMANAGEMENT_TOKEN=f"users-{token}",
        TASKPROCESSING_TOKEN=f"tasks-{token}",
        NOTIFICATION_TOKEN=f"notifications-{token}",
        FACTOR_KEYS=SECRETS["FACTOR_KEYS"],
    )


def test_the_portal_works_and_redis_requires_the_password(compose: Compose) -> None:
    assert compose.register("john_doe").status == 201
    assert compose.log_in("john_doe").status == 200
    assert json.loads(compose.redis("get", "user:1"))["username"] == "john_doe"
    assert compose.errors("exec", "-T", "redis", "redis-cli", "ping") == ""
    assert (
        compose.request("GET", "/health", service="taskprocessing").body["checks"]["redis"] == "ok"
    )
    without_password = ("env", "-u", "REDISCLI_AUTH", "redis-cli", "ping")
    assert "NOAUTH" in compose.execute("redis", *without_password, check=False)


def test_services_accept_each_others_tokens(compose: Compose) -> None:
    compose.register("maria")
    boss = User.create_admin(compose)

    welcome = compose.mail("maria@example.com", "Welcome to the portal, maria")
    assert "https://portal.example.com/app/verify#token=" in welcome
    boss.book(boss.add_flight("PY1"))
    assert "PY1 from LIS to OSL" in compose.mail(boss.email, "Your flight is booked")


def test_no_password_is_an_argument_or_in_an_image(compose: Compose) -> None:
    for service in ("redis", "db", *SERVICES):
        arguments = compose.execute(service, "sh", "-c", "cat /proc/[0-9]*/cmdline")
        assert arguments
        assert "p%40ss" not in arguments
    for name in NAMES:
        image = f"pyportal-{name}"
        layers = compose.docker("history", "--no-trunc", image)
        layers += compose.docker("image", "inspect", image)
        for secret in ("p%40ss", PASSWORD, "PGPASSWORD", "REDIS_PASSWORD", "SERVICE_TOKEN"):
            assert secret not in layers


def test_every_container_stops_by_itself(compose: Compose) -> None:
    """This has to be the last test: nothing runs after it."""
    compose("stop")

    for service in ("redis", "db", *SERVICES):
        assert compose.container(service)["State"]["ExitCode"] == 0, service
