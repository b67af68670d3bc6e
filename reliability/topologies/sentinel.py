"""A primary, two replicas and three sentinels, all of which reach the servers through relays."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.sentinel import MASTER, SentinelSetup

from ..servers import ServerSpec
from .network import Network
from .topology import LASTS, Fault, Sleep, Topology

MAX_LAG = 3
"""Seconds: `min-replicas-max-lag`. A primary without an answer of a replica refuses writes then."""

DOWN_AFTER = 5
"""Seconds until the sentinels replace a primary that does not answer. Both as in Docker."""

_LAG = 2.0  # seconds that replication may be behind on a busy machine
_PRIORITIES_KNOWN = 4.0  # seconds until the sentinels have asked the servers for them
_HOST = "127.0.0.1"


class RelayedSetup(SentinelSetup):
    """Servers that announce the ports of their relays, and connect from addresses of their own."""

    def __init__(self, directory: Path, network: Network, spec: ServerSpec) -> None:
        own = {"min-replicas-max-lag": str(MAX_LAG), "appendfsync": "everysec"}
        super().__init__(
            spec.binary,
            directory,
            down_after_ms=1000 * DOWN_AFTER,
            options={**own, **spec.options},
            authority=spec.authority,
        )
        self.relays = {network.relay_to(server.port): server for server in self.servers}
        self.sources: dict[RedisServer, str] = {}
        for number, each in enumerate([*self.servers, *self.sentinels]):
            self.sources[each] = f"127.0.0.{31 + number}"
            # In protected mode, only 127.0.0.1 is of this machine.
            each.set_options({"bind-source-addr": self.sources[each], "protected-mode": "no"})
        for port, server in self.relays.items():
            server.set_options({"replica-announce-ip": _HOST, "replica-announce-port": str(port)})

    def __enter__(self) -> Self:
        super().__enter__()
        for replica in self.servers[1:]:
            with closing(self.admin(replica)) as admin:
                admin.execute_command("REPLICAOF", _HOST, self._relay_port)
        self.wait_until_whole()
        return self

    @property
    def _relay_port(self) -> int:
        """Where the first master is reached."""
        return next(port for port, server in self.relays.items() if server is self.servers[0])

    def _config(self) -> list[str]:
        """The master is monitored through its relay. Sentinels are reached directly."""
        old, new = f"{_HOST} {self.servers[0].port} ", f"{_HOST} {self._relay_port} "
        lines = [line.replace(old, new) for line in super()._config()]
        return [*lines, f"sentinel announce-ip {_HOST}"]

    def _named_by(self, sentinel: RedisServer) -> int | None:
        """The port of the server whose relay the sentinel names."""
        named = super()._named_by(sentinel)
        server = self.relays.get(named or 0)
        return server.port if server is not None else named


class WithSentinels(Topology):
    """The portal finds the primary by sentinels."""

    def __init__(self, network: Network, setup: RelayedSetup, spec: ServerSpec) -> None:
        super().__init__(network, spec)
        self._setup = setup

    @property
    def primary(self) -> RedisServer:
        return self._setup.primary

    def command(self, server: RedisServer, *words: str | int) -> object:
        with closing(self._setup.admin(server)) as admin:
            return admin.execute_command(*words)

    def variables(self) -> Mapping[str, str]:
        return {
            "REDIS_URL": "",
            "REDIS_SENTINELS": self._setup.addresses,
            "REDIS_SENTINEL_MASTER": MASTER,
            **self.tls_variables(),
        }

    def is_whole(self) -> bool:
        return self._setup.is_whole()

    def lag(self) -> int | None:
        with closing(self._setup.admin(self.primary)) as admin:
            found = admin.info("replication")
        acknowledged = [found[f"slave{number}"]["offset"] for number in range(2)]
        return int(found["master_repl_offset"]) - int(max(acknowledged))

    def faults(self) -> dict[str, Fault]:
        return {
            **super().faults(),
            "primary-killed": Fault(self._kill, loses_seconds=_LAG),
            "primary-hangs": Fault(self._hang, loses_seconds=_LAG),
            "failover": Fault(self._fail_over, loses_seconds=_LAG),
            "failback": Fault(self._fail_back, loses_seconds=_LAG),
            "replicas-cut-off": Fault(self._cut_replicas_off),
            "primary-cut-off": Fault(self._cut_primary_off, loses_seconds=_LAG),
        }

    def _ports(self) -> list[int]:
        return [server.port for server in self._setup.servers]

    def _kill(self, sleep: Sleep) -> None:
        """It comes back as a replica, once another server is the primary."""
        server = self.primary
        server.kill()
        self._setup.wait_for_primary(other_than=server)
        sleep(LASTS)
        server.start()

    def _hang(self, sleep: Sleep) -> None:
        """When it goes on, it believes that it is the primary for a while."""
        server = self.primary
        server.pause()
        self._setup.wait_for_primary(other_than=server)
        sleep(LASTS)
        server.resume()

    def _fail_over(self, _: Sleep) -> None:
        self._setup.fail_over()

    def _fail_back(self, sleep: Sleep) -> None:
        """Fail over, and then back to the server that was the primary before."""
        first = self.primary
        for server in self._setup.servers:
            priority = 1 if server is first else 100
            self.command(server, "CONFIG", "SET", "replica-priority", priority)
        self._setup.fail_over()
        self._setup.wait_until_whole()
        sleep(_PRIORITIES_KNOWN)
        if self._setup.fail_over() is not first:
            raise RuntimeError("another server than the first primary took over")
        self.command(first, "CONFIG", "SET", "replica-priority", 100)

    def _cut_replicas_off(self, sleep: Sleep) -> None:
        """No replica answers the primary, which refuses writes after a while."""
        replicas = [self._setup.sources[server] for server in self._setup.replicas]
        self.network.cut(replicas, self._ports())
        sleep(MAX_LAG + LASTS)
        self.network.heal()

    def _cut_primary_off(self, sleep: Sleep) -> None:
        """Replicas and sentinels do not reach it, but the services do."""
        primary, sources = self.primary, self._setup.sources
        others = [source for server, source in sources.items() if server is not primary]
        self.network.cut(others, [primary.port])
        self._setup.wait_for_primary(other_than=primary)
        sleep(MAX_LAG + LASTS)
        self.network.heal()


@contextmanager
def running_sentinels(folder: Path, network: Network, spec: ServerSpec) -> Iterator[Topology]:
    """The servers and sentinels, until the block ends."""
    with RelayedSetup(folder / "redis", network, spec) as setup:
        yield WithSentinels(network, setup, spec)
