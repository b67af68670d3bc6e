"""A Redis that the portal cannot use is named in one line before anything starts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.settings import ConfigurationError
from local.portal import LocalSettings, RedisBinary
from local.start_checks import check_ports, check_redis, check_variables


def refusal(url: str) -> str:
    with pytest.raises(SystemExit) as caught:
        check_redis(LocalSettings.load(redis_url=url))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_a_usable_server_is_accepted(redis_server: RedisServer) -> None:
    check_redis(LocalSettings.load(redis_url=redis_server.url))
    check_redis(LocalSettings.load(redis_url=f"{redis_server.url}/9"))


@pytest.mark.parametrize(
    ("options", "path", "reason"),
    [
        ({"databases": "1"}, "", "the server has fewer databases: set `databases 16`"),
        ({"databases": "4"}, "/5", "the server has fewer databases: set `databases 16`"),
        ({"cluster-enabled": "yes"}, "", "Redis Cluster is not supported"),
        ({"replicaof": "127.0.0.1 1"}, "", "is a replica"),
        ({"requirepass": "secret"}, "", "see REDIS_USERNAME and REDIS_PASSWORD"),
    ],
)
def test_an_unusable_server_is_refused_with_the_reason(
    start_redis: Callable[..., RedisServer], options: dict[str, str], path: str, reason: str
) -> None:
    if "cluster-enabled" in options:
        options = {**options, "cluster-port": str(free_port())}
    server = start_redis(**options)

    message = refusal(f"{server.url}{path}")

    assert message.startswith(f"REDIS_URL: Redis 127.0.0.1:{server.port}, database ")
    assert reason in message


def test_a_wrong_password_is_refused_and_not_shown(
    start_redis: Callable[..., RedisServer],
) -> None:
    server = start_redis(requirepass="secret")

    message = refusal(server.url.replace("//", "//:geheim@"))

    assert "see REDIS_USERNAME and REDIS_PASSWORD" in message
    assert "geheim" not in message


def test_equal_ports_are_refused_by_the_names_of_their_variables() -> None:
    port = free_port()
    settings = LocalSettings.load(
        redis_port=port,
        usermanagement_port=port,
        taskprocessing_port=free_port(),
        notification_port=free_port(),
    )

    with pytest.raises(SystemExit) as caught:
        check_ports(settings, RedisBinary(Path("redis-server"), "redis"))

    names = "REDIS_PORT, USERMANAGEMENT_PORT, TASKPROCESSING_PORT, NOTIFICATION_PORT"
    assert str(caught.value) == f"The ports must differ: {names}."


def test_a_port_in_use_is_named_with_the_remedy(redis_server: RedisServer) -> None:
    settings = LocalSettings.load(
        redis_port=redis_server.port,
        usermanagement_port=free_port(),
        taskprocessing_port=free_port(),
        notification_port=free_port(),
    )

    with pytest.raises(SystemExit) as caught:
        check_ports(settings, RedisBinary(Path("redis-server"), "redis"))

    remedy = "set REDIS_PORT, or REDIS_URL to use the Redis there."
    assert str(caught.value) == f"Port {redis_server.port} is in use: {remedy}"


def test_an_unreachable_server_is_refused() -> None:
    assert "is unavailable" in refusal(f"redis://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("variable", ["SESSION_REDIS_URL"])
def test_a_server_for_one_purpose_is_checked_too(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"redis://127.0.0.1:{free_port()}")

    with pytest.raises(SystemExit, match=f"^{variable}: .* is unavailable"):
        check_redis(LocalSettings.load())


@pytest.mark.parametrize("variable", ["REDIS_DB", "REDIS_READ_TIMEOUT", "WORKER_THREADS"])
def test_a_variable_that_no_migration_reads_is_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "x")

    with pytest.raises(ConfigurationError, match=f"^{variable}: must be "):
        check_variables(LocalSettings.load())
