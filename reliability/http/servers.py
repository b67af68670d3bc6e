"""The Redis servers of an HTTP run: a primary, its replica, and a relay to the primary for each
instance of the service.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.raw_servers import UNUSED_PORT
from common.pyportal_common.testing.relay import SwitchedRelay

from ..servers import command, running_redis

_IN_STEP_WITHIN = 5.0  # seconds
_POLL = 0.02  # seconds


class InstanceRelay(SwitchedRelay):
    """The relay between one instance and the primary, whichever server that is."""

    def __init__(self, server_port: int) -> None:
        self._closed = threading.Event()
        super().__init__(server_port)

    def close_connections(self) -> None:
        """Close every connection, and refuse new ones until `point_at`."""
        self._closed.clear()
        self.state = "refused"
        self._closed.wait()

    def point_at(self, server_port: int) -> None:
        """Relay to that server from now on."""
        self._server_port = server_port
        self.state = "open"

    def _refuse_for(self, seconds: float, until: float) -> None:
        super()._refuse_for(seconds, until)
        self._closed.set()


class Servers:
    """A primary and its replica, which change places in a failover."""

    def __init__(self, primary: RedisServer, replica: RedisServer, instances: int) -> None:
        self.primary = primary
        self.replica = replica
        _replicate(replica, primary)
        self.relays = [InstanceRelay(primary.port) for _ in range(instances)]

    def refuse_writes(self) -> None:
        """Make the primary a replica of nothing: it answers reads and refuses writes."""
        command(self.primary, "REPLICAOF", "127.0.0.1", UNUSED_PORT)

    def accept_writes(self) -> None:
        """Make it a primary again."""
        command(self.primary, "REPLICAOF", "NO", "ONE")

    def demote(self) -> bool:
        """Have the two servers change roles. Whether they did; the relays still point as before."""
        if not self._is_in_step():
            return False
        command(self.primary, "FAILOVER")
        return _await(lambda: _role(self.primary) == "slave" and _role(self.replica) == "master")

    def kill_primary(self) -> bool:
        """SIGKILL the primary and make the replica one. Whether that was possible."""
        if not self._is_in_step():
            return False
        self.primary.kill()
        command(self.replica, "REPLICAOF", "NO", "ONE")
        return True

    def switch(self) -> None:
        """Point all relays at the other server, once no connection to the old one is left."""
        for relay in self.relays:
            relay.close_connections()
        self.primary, self.replica = self.replica, self.primary
        for relay in self.relays:
            relay.point_at(self.primary.port)

    def rejoin(self) -> None:
        """Start the server that was killed, as a replica."""
        self.replica.start()
        _replicate(self.replica, self.primary)

    def close(self) -> None:
        """Close the relays."""
        for relay in self.relays:
            relay.close()

    def _is_in_step(self) -> bool:
        return _await(lambda: "master_link_status:up" in _replication(self.replica))


@contextmanager
def running_servers(folder: Path, *, instances: int, apart: bool) -> Iterator[tuple[Servers, str]]:
    """The servers, and the URL of sessions that are kept `apart`, else an empty one."""
    with running_redis(folder) as primary, running_redis(folder, "replica") as replica:
        servers = Servers(primary, replica, instances)
        try:
            if not apart:
                yield servers, ""
                return
            with running_redis(folder, "sessions") as sessions:
                yield servers, sessions.url
        finally:
            servers.close()


def _replicate(replica: RedisServer, primary: RedisServer) -> None:
    command(replica, "REPLICAOF", "127.0.0.1", primary.port)


def _replication(server: RedisServer) -> str:
    return str(command(server, "INFO", "replication"))


def _role(server: RedisServer) -> str:
    for line in _replication(server).splitlines():
        if line.startswith("role:"):
            return line.removeprefix("role:").strip()
    return ""


def _await(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _IN_STEP_WITHIN
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True
