"""Servers that are found by name: the name is unknown at first, and later it moves.

The processes have files /etc/hosts and /etc/resolv.conf of their own, in a mount namespace.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.relay import SwitchedRelay
from local.client import API

from .load import Connect
from .service_processes import SECONDS, processes_of
from .waiting import wait_until

pytestmark = pytest.mark.slow

OLD, NEW = "127.0.0.2", "127.0.0.3"
NAMES = "redis.test sql.test"


class Names:
    """What the processes of a test resolve: names that are in no DNS, and no DNS at all."""

    def __init__(self, folder: Path) -> None:
        self._hosts = folder / "hosts"
        self._hosts.write_text("127.0.0.1 localhost\n")
        resolver = folder / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        mounts = f"mount --bind {self._hosts} /etc/hosts; mount --bind {resolver} /etc/resolv.conf"
        self.wrapper = ["unshare", "--mount", "sh", "-ec", f'{mounts}; exec "$@"', "sh"]

    def point_at(self, address: str) -> None:
        """Have the names resolve to an address, from now on."""
        with self._hosts.open("a") as file:  # a replaced file would not be the mounted one
            file.seek(0)
            file.truncate()
            file.write(f"127.0.0.1 localhost\n{address} {NAMES}\n")


@pytest.fixture
def names(tmp_path: Path) -> Names:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        missing("a root account with unshare")
    return Names(tmp_path)


class Place:
    """An address at which both servers are, until it is `left`."""

    def __init__(self, host: str, redis: tuple[RedisServer, int], sql: tuple[int, int]) -> None:
        (server, redis_port), (sql_server_port, sql_port) = redis, sql
        self._relays = [
            SwitchedRelay(server.port, host=host, port=redis_port),
            SwitchedRelay(sql_server_port, host=host, port=sql_port),
        ]

    def left(self) -> None:
        """Close every connection and the ports."""
        for relay in self._relays:
            relay.close()


@pytest.fixture
def redis_servers(
    own_redis: RedisServer, redis_binary: Path, tmp_path: Path
) -> Iterator[tuple[RedisServer, RedisServer]]:
    other = RedisServer(redis_binary, tmp_path / "other")
    other.start()
    yield own_redis, other
    other.kill()


def tried(url: str) -> int:
    """To how many users the worker has tried to send an e-mail."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        query = text("SELECT count(*) FROM events WHERE attempts > 0")
        return int(connection.scalar(query) or 0)


def test_processes_follow_a_name_that_is_unknown_first_and_then_moves(
    names: Names,
    redis_servers: tuple[RedisServer, RedisServer],
    own_postgres_url: str,
    tmp_path: Path,
    connect: Connect,
) -> None:
    url = make_url(own_postgres_url)
    assert url.port is not None
    redis_port, sql = free_port(), (url.port, free_port())
    by_name = url.set(host="sql.test", port=sql[1]).render_as_string(hide_password=False)
    with processes_of(
        "usermanagement",
        tmp_path,
        wrapper=names.wrapper,
        REDIS_URL=f"redis://redis.test:{redis_port}",
        DATABASE_URL=by_name,
    ) as processes:
        processes.web()
        processes.worker()

        # Unknown: an outage like any other.
        assert processes.request("GET", "/readyz").body == {
            "status": "unavailable",
            "redis": "unavailable",
            "database": "unavailable",
        }
        response = processes.register("early")
        assert (response.status, response.headers["Retry-After"]) == (503, "5")

        # Known.
        old = Place(OLD, (redis_servers[0], redis_port), sql)
        names.point_at(OLD)
        processes.migrate()
        wait_until(lambda: processes.log_in("nobody").status == 401, SECONDS)
        assert processes.register("john").status == 201
        wait_until(lambda: tried(own_postgres_url) == 1, SECONDS)

        # Moved.
        new = Place(NEW, (redis_servers[1], redis_port), sql)
        names.point_at(NEW)
        old.left()
        wait_until(lambda: processes.log_in("john").status == 200, SECONDS)
        session_id = processes.log_in("john").body["session_id"]
        assert connect(redis_servers[1]).exists(f"session:{session_id}")
        assert processes.request("GET", f"{API}/users/me", session_id=session_id).status == 200
        assert processes.register("jane").status == 201
        wait_until(lambda: tried(own_postgres_url) == 2, SECONDS)
        new.left()
