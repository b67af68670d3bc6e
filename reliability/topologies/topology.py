"""Redis as services find it: one server, or more."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.pyportal_common.redis_server import RedisServer

from ..portal import SERVICES
from ..servers import ServerSpec, command, running_redis
from .network import Network

SOURCES = {name: f"127.0.0.{21 + number}" for number, name in enumerate(SERVICES)}

Sleep = Callable[[float], None]

LASTS = 6.0
"""Seconds of a fault that has no length of its own."""

AOF_SECONDS = 3.0
"""What a server that is killed may lose: its file is up to two seconds behind while it is synced,
and a second for a busy machine."""


@dataclass(frozen=True)
class Fault:
    """`inject` returns when the fault is over.

    Redis may lose sessions that it acknowledged in the last `loses_seconds` before the fault, or
    during it; none if that is None.
    """

    inject: Callable[[Sleep], None]
    loses_seconds: float | None = None


_DOWN = 3.0  # seconds until a server that was killed is started again
_SLOW = 10.0
_ROUND_TRIP, _LOSS = 0.05, 0.01


class Topology(ABC):
    """The servers of a run, and their faults."""

    def __init__(self, network: Network, spec: ServerSpec) -> None:
        self.network = network
        self.authority = spec.authority

    @property
    @abstractmethod
    def primary(self) -> RedisServer:
        """The server that takes writes."""

    def tls_variables(self) -> Mapping[str, str]:
        """The variables of a service for TLS, if it is used."""
        if self.authority is None:
            return {}
        return {"REDIS_TLS": "true", "REDIS_TLS_CA_FILE": str(self.authority.file)}

    @abstractmethod
    def variables(self) -> Mapping[str, str]:
        """How a service finds Redis."""

    @abstractmethod
    def command(self, server: RedisServer, *words: str | int) -> object:
        """The reply to one command, past the relays."""

    @abstractmethod
    def is_whole(self) -> bool:
        """Whether every server is there and in step."""

    @abstractmethod
    def lag(self) -> int | None:
        """How many bytes the replica that is most in step has not acknowledged."""

    def faults(self) -> dict[str, Fault]:
        """The faults by name."""
        return {
            "primary-killed": Fault(self._kill, loses_seconds=AOF_SECONDS),
            "primary-hangs": Fault(self._hang),
            "service-cut-off": Fault(self._cut_service_off),
            "memory-full": Fault(self._fill_memory),
            "network-slow": Fault(self._slow_network),
        }

    @abstractmethod
    def _ports(self) -> list[int]:
        """Those of all servers, behind the relays."""

    def _kill(self, sleep: Sleep) -> None:
        server = self.primary
        server.kill()
        sleep(_DOWN)
        server.start()

    def _hang(self, sleep: Sleep) -> None:
        server = self.primary
        server.pause()
        sleep(LASTS)
        server.resume()

    def _cut_service_off(self, sleep: Sleep) -> None:
        self.network.cut([SOURCES["usermanagement"]], self._ports())
        sleep(LASTS)
        self.network.heal()

    def _fill_memory(self, sleep: Sleep) -> None:
        server = self.primary
        self.command(server, "CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.command(server, "CONFIG", "SET", "maxmemory", "1mb")  # less than an empty server uses
        sleep(LASTS)
        self.command(server, "CONFIG", "SET", "maxmemory", "0")

    def _slow_network(self, sleep: Sleep) -> None:
        self.network.slow_down(_ROUND_TRIP, _LOSS)
        sleep(_SLOW)
        self.network.heal()


class Plain(Topology):
    """One server, with the append-only file of redis.conf."""

    def __init__(self, network: Network, server: RedisServer, spec: ServerSpec) -> None:
        super().__init__(network, spec)
        self._server = server
        self._relay_port = network.relay_to(server.port)

    @property
    def primary(self) -> RedisServer:
        return self._server

    def variables(self) -> Mapping[str, str]:
        return {"REDIS_URL": f"redis://127.0.0.1:{self._relay_port}", **self.tls_variables()}

    def command(self, server: RedisServer, *words: str | int) -> object:
        return command(server, *words, authority=self.authority)

    def is_whole(self) -> bool:
        return True

    def lag(self) -> int | None:
        return None

    def _ports(self) -> list[int]:
        return [self._server.port]


@contextmanager
def running_plain(folder: Path, network: Network, spec: ServerSpec) -> Iterator[Topology]:
    """One server, until the block ends."""
    with running_redis(folder, spec=spec) as server:
        yield Plain(network, server, spec)
