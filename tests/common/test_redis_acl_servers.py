"""Servers with the users of redis/users.acl: how they get passwords, replicas and sentinels."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.pyportal_common.redis_server import RedisServer, answers_ping, free_port
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.users import denials, with_passwords

from .load import ROOT
from .waiting import wait_until

USERS = ROOT / "redis" / "users.acl"
NAMES = [line.split()[1] for line in USERS.read_text("utf-8").splitlines()]
ODD = "o'dd \"p%40ss\\w$rd#;{}"


def connected(port: int, **credentials: Any) -> Any:
    """A redis-py client, which tries only once."""
    once = Retry(NoBackoff(), 0)
    return closing(
        redis.Redis(port=port, protocol=2, retry=once, decode_responses=True, **credentials)
    )


def log_in(port: int, user: str | None, password: str | None) -> bool:
    """Send PING as this user. Raises AuthenticationError."""
    with connected(port, username=user, password=password) as client:
        return bool(client.ping())


@pytest.mark.parametrize("user", NAMES)
def test_a_user_without_a_password_cannot_log_in(
    user: str, start_redis: Callable[..., RedisServer]
) -> None:
    """As in the file."""
    server = start_redis(aclfile=str(USERS))

    for password in ("", "test"):
        with pytest.raises(redis.AuthenticationError):
            log_in(server.port, user, password)
    with pytest.raises(redis.AuthenticationError, match="required"):
        log_in(server.port, None, None)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """A server that serve.sh has started: its port and its process."""
    if shutil.which("redis-server") is None:
        missing("redis-server")
    port = free_port()
    process = subprocess.Popen(
        ["sh", ROOT / "redis" / "serve.sh", "--port", str(port)],
        cwd=tmp_path,
        env={
            **os.environ,
            "REDIS_PASSWORD": "of nobody",
            "REDIS_OPERATOR_PASSWORD": ODD,
            "REDIS_NOTIFICATION_PASSWORD": "of notification",
        },
    )
    wait_until(lambda: answers_ping(port), seconds=30)
    yield port, process.pid
    process.kill()
    process.wait()


def test_serve_sh_gives_each_user_the_password_of_its_variable(served: tuple[int, int]) -> None:
    port, _ = served

    assert log_in(port, "operator", ODD)
    assert log_in(port, "notification", "of notification")
    for user, password in (
        ("notification", ODD),
        ("notification", ""),
        ("usermanagement", ""),
        ("default", "of nobody"),
        (None, "of nobody"),
    ):
        with pytest.raises(redis.AuthenticationError):
            log_in(port, user, password)


def test_serve_sh_writes_no_password(served: tuple[int, int], tmp_path: Path) -> None:
    _, process = served
    arguments = Path(f"/proc/{process}/cmdline")

    assert not arguments.exists() or b"p%40ss" not in arguments.read_bytes()
    assert all(b"p%40ss" not in file.read_bytes() for file in tmp_path.rglob("*.*"))


@pytest.fixture
def users_file(tmp_path: Path) -> str:
    """The users with passwords, for servers that are not started by serve.sh."""
    file = tmp_path / "with-passwords.acl"
    file.write_text(with_passwords(USERS.read_text("utf-8")))
    return str(file)


@pytest.mark.slow
def test_the_exporter_needs_no_more_than_its_user_may_do(
    start_redis: Callable[..., RedisServer], users_file: str
) -> None:
    program = shutil.which("prometheus-redis-exporter") or missing("prometheus-redis-exporter")
    server, port = start_redis(aclfile=users_file), free_port()
    with connected(server.port) as client:
        client.set("user:1", "{}")
    address = [f"--redis.addr={server.url}", f"--web.listen-address=127.0.0.1:{port}"]
    login = {"REDIS_USER": "exporter", "REDIS_PASSWORD": "test"}
    process = subprocess.Popen(
        [program, *address], env={**os.environ, **login, "REDIS_EXPORTER_CONFIG_COMMAND": "-"}
    )
    try:
        wait_until(lambda: "redis_up 1" in scraped(port), seconds=60)
        metrics = scraped(port)
    finally:
        process.kill()
        process.wait()

    for name in ("memory_used_bytes", "memory_max_bytes", "db_keys", "slowlog_length"):
        assert f"\nredis_{name}" in metrics
    assert denials(server) == []


def scraped(port: int) -> str:
    """The metrics of the exporter, if it answers."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection, suppress(OSError):
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    return ""


@pytest.fixture
def pair(start_redis: Callable[..., RedisServer], users_file: str) -> tuple[RedisServer, ...]:
    """A primary and its replica, which logs in as `replica`."""
    options = {"aclfile": users_file, "masteruser": "replica", "masterauth": "test"}
    primary = start_redis(**options)
    return primary, start_redis(**options, replicaof=f"127.0.0.1 {primary.port}")


@pytest.fixture
def sentinel(pair: tuple[RedisServer, ...], redis_binary: Path, tmp_path: Path) -> Iterator[Any]:
    """A client of a sentinel of the pair, which logs in as `sentinel`."""
    port = free_port()
    file = tmp_path / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor portal 127.0.0.1 {pair[0].port} 1\n"
        "sentinel auth-user portal sentinel\n"
        "sentinel auth-pass portal test\n"
        "sentinel down-after-milliseconds portal 1000\n"
    )
    process = subprocess.Popen([redis_binary, file, "--sentinel"], stdout=subprocess.DEVNULL)
    with connected(port) as client:
        wait_until(lambda: answers_ping(port), seconds=30)
        yield client
    process.kill()
    process.wait()


@pytest.mark.slow
def test_a_replica_and_a_sentinel_need_no_more_than_their_users_may_do(
    pair: tuple[RedisServer, ...], sentinel: Any
) -> None:
    primary, replica = pair
    with connected(replica.port) as at_replica:
        with connected(primary.port) as at_primary:
            wait_until(lambda: replicas_seen(sentinel) == [replica.port], seconds=60)
            wait_until(lambda: reports(at_replica, master_link_status="up"), seconds=60)
            at_primary.set("user:1", "{}")
            assert at_primary.wait(1, 30_000) == 1
        assert denials(primary) == denials(replica) == []

        primary.kill()
        wait_until(lambda: reports(at_replica, role="master"), seconds=60)

        assert at_replica.get("user:1") == "{}"
        primary.start()
        with connected(primary.port) as at_primary:
            follows = {"role": "slave", "master_link_status": "up"}
            wait_until(lambda: reports(at_primary, **follows), seconds=60)
        assert denials(primary) == denials(replica) == []


def reports(client: Any, **expected: str) -> bool:
    """Whether INFO has these values. A sentinel that changes a role cuts the connections."""
    try:
        return bool(expected.items() <= client.info().items())
    except redis.ConnectionError:
        return False


def replicas_seen(sentinel: Any) -> list[int]:
    """The ports of the replicas that a sentinel is connected to."""
    return [
        each["port"] for each in sentinel.sentinel_slaves("portal") if not each["is_disconnected"]
    ]
