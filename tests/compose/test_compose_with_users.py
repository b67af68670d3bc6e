"""docker-compose.acl.yml. In its own module, because two projects cannot run at once."""

import json
from collections.abc import Iterator

import pytest

from ..portal_api import User
from .conftest import NAMES, SERVICES, Compose, running_compose
from .test_compose import PRODUCTION, SECRETS

pytestmark = pytest.mark.slow

FILES = ("-f", "docker-compose.yml", "-f", "docker-compose.acl.yml")
PASSWORDS = {
    "REDIS_PASSWORD": "o'dd \"p%40ss\\w$rd#;{}",
    "REDIS_USERMANAGEMENT_PASSWORD": "of users",
    "REDIS_TASKPROCESSING_PASSWORD": "of tasks",
    "REDIS_NOTIFICATION_PASSWORD": "of notifications",
}


class TestFiles:
    @pytest.mark.parametrize("missing", PASSWORDS)
    def test_no_user_of_the_portal_has_a_default_password(self, missing: str) -> None:
        errors = Compose(**PASSWORDS | {missing: ""}).errors(*FILES, "config")

        assert missing in errors
        assert "set it in .env" in errors

    @pytest.mark.parametrize("files", [FILES, (*PRODUCTION, *FILES[2:])])
    def test_each_service_has_its_user_and_no_other_password(self, files: tuple[str, ...]) -> None:
        services = Compose(**SECRETS | PASSWORDS).config(*files)

        for name in NAMES:
            password = PASSWORDS[f"REDIS_{name.upper()}_PASSWORD"]
            for part in ("service", "worker", "migrations"):
                environment = services[f"{name}-{part}"]["environment"]
                assert environment["REDIS_USERNAME"] == name
                assert environment["REDIS_PASSWORD"] == password
                others = set(PASSWORDS.values()) - {password}
                assert not others & set(environment.values())


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    yield from running_compose(
        COMPOSE_FILE="docker-compose.yml:docker-compose.acl.yml", **PASSWORDS
    )


def as_user(compose: Compose, user: str, *command: str) -> str:
    """What redis-cli prints for a user."""
    variable = "REDIS_PASSWORD" if user == "operator" else f"REDIS_{user.upper()}_PASSWORD"
    login = ("env", f"REDISCLI_AUTH={PASSWORDS[variable]}", "redis-cli", "--user", user)
    return compose.execute("redis", *login, *command, check=False)


def test_the_portal_works(compose: Compose) -> None:
    compose.register("maria")
    boss = User.create_admin(compose)
    boss.book(boss.add_flight("PY1"))

    assert "maria" in compose.mail("maria@example.com", "Welcome to the portal, maria")
    assert "PY1 from LIS to OSL" in compose.mail(boss.email, "Your flight is booked")
    for name in NAMES:
        assert compose.request("GET", "/health", service=name).body["checks"]["redis"] == "ok"


def test_doctor_of_each_service_finds_no_missing_permission(compose: Compose) -> None:
    for name in NAMES:
        doctor = ("flask", "--app", "wsgi", "doctor")
        found = compose.execute(f"{name}-service", *doctor, check=False)

        assert "redis caches" in found
        assert "NOPERM" not in found


def test_nobody_without_a_user_may_do_anything(compose: Compose) -> None:
    without_password = ("env", "-u", "REDISCLI_AUTH", "redis-cli", "ping")

    assert "NOAUTH" in compose.execute("redis", *without_password, check=False)


def test_operators_look_and_cannot_empty_redis(compose: Compose) -> None:
    compose.register("john_doe")

    assert "user:1" in compose.redis("--user", "operator", "--scan", "--pattern", "user:*").split()
    assert json.loads(compose.redis("--user", "operator", "get", "user:1"))["username"]
    assert "NOPERM" in as_user(compose, "operator", "flushall")


def test_a_service_has_no_permission_for_the_keys_of_another(compose: Compose) -> None:
    assert "NOPERM" not in as_user(compose, "notification", "get", "notification:1")
    assert "NOPERM" in as_user(compose, "notification", "get", "user:1")
    assert "NOPERM" in as_user(compose, "notification", "flushall")


def test_no_password_is_an_argument(compose: Compose) -> None:
    for service in ("redis", *SERVICES):
        arguments = compose.execute(service, "sh", "-c", "cat /proc/[0-9]*/cmdline")
        assert arguments
        for password in PASSWORDS.values():
            assert password not in arguments
