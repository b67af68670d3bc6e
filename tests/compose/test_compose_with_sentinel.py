"""docker-compose.sentinel.yml. In its own module, because two projects cannot run at once."""

import time
from collections.abc import Iterator

import pytest

from ..portal_api import User
from .conftest import NAMES, SERVICES, Compose, running_compose

pytestmark = pytest.mark.slow

SERVERS = ("redis", "redis-2", "redis-3")
SENTINELS = ("sentinel-1", "sentinel-2", "sentinel-3")
LONG = 120.0  # seconds


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The portal with a password for servers and sentinels, which has special characters."""
    yield from running_compose(
        COMPOSE_FILE="docker-compose.yml:docker-compose.sentinel.yml",
        REDIS_PASSWORD="o'dd \"p%40ss\\w$rd#;{}",
    )


def master(compose: Compose) -> str:
    """The service that the sentinels name."""
    for sentinel in SENTINELS:
        asked = ("redis-cli", "-p", "26379", "sentinel", "get-master-addr-by-name", "mymaster")
        found = compose.execute(sentinel, *asked, check=False).splitlines()
        if found and found[0] in SERVERS:
            return found[0]
    return ""


def answers(compose: Compose, name: str) -> bool:
    return compose.register(name).status == 201 and compose.log_in(name).status == 200


def wait_until_true(what: object, *arguments: object) -> float:
    """Return after how many seconds it was true. AssertionError if it was not."""
    began = time.monotonic()
    assert callable(what)
    while not what(*arguments):
        assert time.monotonic() < began + LONG
        time.sleep(0.2)
    return time.monotonic() - began


def test_the_portal_goes_on_after_the_loss_of_the_master(compose: Compose) -> None:
    boss = User.create_admin(compose)
    assert answers(compose, "before")
    old = master(compose)
    assert old == "redis"

    compose("kill", old)
    numbers = iter(range(1_000_000))
    took = wait_until_true(lambda: answers(compose, f"after{next(numbers)}"))

    print(f"a login succeeded {took:.1f} s after the master was killed")
    assert master(compose) not in {"", old}
    boss.book(boss.add_flight("PY1"))
    for name in NAMES:
        health = compose.request("GET", "/health", service=name).body
        assert health["checks"]["redis"] == "ok", health


def test_the_old_master_comes_back_as_a_replica(compose: Compose) -> None:
    compose("up", "--detach", "--wait", "--wait-timeout", "120", "redis")

    assert "role:slave" in compose.redis("info", "replication")


def test_servers_and_sentinels_require_the_password(compose: Compose) -> None:
    for service, port in [("redis-2", "6379"), ("sentinel-1", "26379")]:
        asked = ("env", "-u", "REDISCLI_AUTH", "redis-cli", "-p", port, "ping")
        assert "NOAUTH" in compose.execute(service, *asked, check=False)


def test_no_password_is_an_argument(compose: Compose) -> None:
    for service in (*SERVERS, *SENTINELS, *SERVICES):
        arguments = compose.execute(service, "sh", "-c", "cat /proc/[0-9]*/cmdline")
        assert arguments
        assert "p%40ss" not in arguments


def test_everything_starts_again_with_the_same_master(compose: Compose) -> None:
    """This has to be the last test: the containers are others then."""
    before = master(compose)
    compose("down", "--timeout", "10")
    compose("up", "--detach", "--wait", "--wait-timeout", "180")

    assert master(compose) == before
    assert answers(compose, "again")
