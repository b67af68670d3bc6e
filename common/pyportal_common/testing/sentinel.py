"""A master, replicas and sentinels as child processes, which tests may kill and freeze."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..redis_server import RedisServer, free_port
from .certificates import Authority

MASTER = "mymaster"

_HOST = "127.0.0.1"
_WITHIN = 60.0  # seconds: other tests may run
_PUBLISH_MS = 2000  # of sentinels: how often they say that they are there


class SentinelSetup:
    """A master, two replicas and three sentinels on 127.0.0.1, for a `with` block.

    A master that does not answer for `down_after_ms` is replaced by a replica. `options` are
    directives of redis.conf for the servers. With an `authority`, all connections are encrypted, by
    certificates of it. The sentinels require `sentinel_password` if it is given.
    """

    def __init__(
        self,
        binary: Path,
        directory: Path,
        *,
        down_after_ms: int = 1000,
        options: dict[str, str] | None = None,
        authority: Authority | None = None,
        sentinel_password: str | None = None,
    ) -> None:
        self._down_after_ms = down_after_ms
        self._sentinel_password = sentinel_password
        self._authority = authority
        self._client_options: dict[str, Any] = dict(_TIMEOUTS)
        common: dict[str, str] = {}
        if authority is not None:
            self._client_options |= {"ssl": True, "ssl_ca_certs": str(authority.file)}
            common = authority.server_options(authority.issue()) | {"tls-replication": "yes"}
        of_servers = common | _REPLICATION | (options or {})
        self.servers: list[RedisServer] = [
            _Server(binary, directory / f"server{number}", of_servers, self._answers)
            for number in range(3)
        ]
        """The master at the start, and its replicas."""
        self.sentinels: list[RedisServer] = [
            _Sentinel(binary, directory / f"sentinel{number}", common, self._config, self._answers)
            for number in range(3)
        ]

    # --- for clients ---

    @property
    def addresses(self) -> str:
        """The value of REDIS_SENTINELS."""
        return ",".join(f"{_HOST}:{sentinel.port}" for sentinel in self.sentinels)

    @property
    def url(self) -> str:
        """The redis+sentinel:// URL, or a rediss+sentinel:// one, without account and database."""
        scheme = "redis" if self._authority is None else "rediss"
        return f"{scheme}+sentinel://{self.addresses}/{MASTER}"

    def client_variables(self) -> dict[str, Any]:
        """Arguments of RedisSettings.load for a client."""
        tls = self._authority.variables() if self._authority is not None else {}
        return {"url": self.url, **tls}

    # --- what there is ---

    @property
    def primary(self) -> RedisServer:
        """The master, as most sentinels see it."""
        named = [self._named_by(sentinel) for sentinel in self.sentinels if sentinel.is_running]
        ports = [port for port in named if port is not None]
        port = max(set(ports), key=ports.count)
        return next(server for server in self.servers if server.port == port)

    @property
    def replicas(self) -> list[RedisServer]:
        """The other servers, also those that are killed or frozen."""
        primary = self.primary
        return [server for server in self.servers if server is not primary]

    def admin(self, server: RedisServer) -> Any:
        """A redis-py client of a server or sentinel, to be closed by the caller."""
        options = dict(self._client_options)
        if server in self.sentinels:
            options["password"] = self._sentinel_password
        return redis.Redis(host=_HOST, port=server.port, decode_responses=True, **options)

    # --- what a test does ---

    def fail_over(self) -> RedisServer:
        """Have the sentinels replace a master that works, and return the new one."""
        before = self.primary
        with closing(self.admin(self._any_sentinel())) as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", MASTER)
        return self.wait_for_primary(other_than=before)

    def wait_for_primary(self, *, other_than: RedisServer | None = None) -> RedisServer:
        """Return when all running sentinels name the same server, which is a master."""

        def found() -> bool:
            running = [each for each in self.sentinels if each.is_running]
            ports = {self._named_by(sentinel) for sentinel in running}
            if len(ports) != 1 or None in ports:
                return False
            primary = self.primary
            return primary is not other_than and self._role(primary) == "master"

        _wait(found, "no master that all sentinels name")
        return self.primary

    def wait_until_whole(self) -> None:
        """Return when every server replicates the master, and every sentinel knows all others."""
        _wait(self.is_whole, "a replica or a sentinel is missing")

    def wait_until_replicated(self) -> None:
        """Return when the replicas have received what the master has now."""
        with closing(self.admin(self.primary)) as admin:
            offset = admin.info("replication")["master_repl_offset"]
        replicas = self.replicas
        _wait(
            lambda: all(self._offset(replica) >= offset for replica in replicas),
            "a replica has not received all",
        )

    # --- start and end ---

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.start()
            for replica in self.servers[1:]:
                with closing(self.admin(replica)) as admin:
                    admin.execute_command("REPLICAOF", _HOST, self.servers[0].port)
            for sentinel in self.sentinels:
                sentinel.start()
                self._set_period(sentinel, "publish-period", 100)
                self._set_period(sentinel, "info-period", 1000)
            self.wait_until_whole()
            for sentinel in self.sentinels:
                self._set_period(sentinel, "publish-period", _PUBLISH_MS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for each in [*self.sentinels, *self.servers]:
            each.kill()

    # --- the rest ---

    def _answers(self, server: RedisServer) -> bool:
        try:
            with closing(self.admin(server)) as admin:
                return bool(admin.ping())
        except redis.RedisError:
            return False

    def _config(self) -> list[str]:
        """The lines about the master in a sentinel's configuration."""
        lines = [
            f"monitor {MASTER} {_HOST} {self.servers[0].port} 2",
            f"down-after-milliseconds {MASTER} {self._down_after_ms}",
            f"failover-timeout {MASTER} 10000",
            f"parallel-syncs {MASTER} 2",
        ]
        if self._sentinel_password is not None:
            lines.append(f"sentinel-pass {self._sentinel_password}")
        config = [f"sentinel {line}" for line in lines]
        if self._sentinel_password is not None:
            config.append(f"requirepass {self._sentinel_password}")
        return config

    def _any_sentinel(self) -> RedisServer:
        return next(sentinel for sentinel in self.sentinels if sentinel.is_running)

    def _set_period(self, sentinel: RedisServer, name: str, milliseconds: int) -> None:
        with closing(self.admin(sentinel)) as admin:
            admin.execute_command("SENTINEL", "DEBUG", name, milliseconds)

    def _named_by(self, sentinel: RedisServer) -> int | None:
        try:
            with closing(self.admin(sentinel)) as admin:
                found = admin.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER)
        except redis.RedisError:
            return None
        return int(found[1]) if found else None

    def _role(self, server: RedisServer) -> str:
        try:
            with closing(self.admin(server)) as admin:
                return str(admin.info("replication")["role"])
        except redis.RedisError:
            return ""

    def _offset(self, replica: RedisServer) -> int:
        try:
            with closing(self.admin(replica)) as admin:
                return int(admin.info("replication")["slave_repl_offset"])
        except redis.RedisError:
            return -1

    def is_whole(self) -> bool:
        """Whether every server replicates the master, and every sentinel knows all others."""
        try:
            return self._replicates() and all(map(self._knows_all, self.sentinels))
        except redis.RedisError:
            return False

    def _replicates(self) -> bool:
        with closing(self.admin(self.primary)) as primary:
            found = primary.info("replication")
        return found["role"] == "master" and int(found.get("min_slaves_good_slaves", 2)) == 2

    def _knows_all(self, sentinel: RedisServer) -> bool:
        with closing(self.admin(sentinel)) as admin:
            state = admin.execute_command("SENTINEL MASTER", MASTER)
            replicas = admin.execute_command("SENTINEL REPLICAS", MASTER)
        up = [each for each in replicas if each["master-link-status"] == "ok"]
        is_up = state["flags"] == "master"
        return is_up and len(up) == 2 and state["num-other-sentinels"] == 2


_TIMEOUTS: dict[str, Any] = {
    "socket_connect_timeout": 2.0,
    "socket_timeout": 2.0,
    "retry": Retry(NoBackoff(), 0),
}
# Those of redis/replicated.conf, but a replica that gets no processor for seconds is no fault here.
_REPLICATION = {
    "min-replicas-to-write": "1",
    "min-replicas-max-lag": "10",
    "repl-diskless-sync-delay": "0",
}


class _Server(RedisServer):
    """A server that may accept encrypted connections only, and require an account."""

    def __init__(
        self,
        binary: Path,
        directory: Path,
        options: dict[str, str],
        answers: Callable[[RedisServer], bool],
    ) -> None:
        port = free_port()
        if "tls-cert-file" in options:
            options = {"port": "0", "tls-port": str(port), **options}
        super().__init__(binary, directory, port=port, options=options)
        self._asks = answers

    def answers(self) -> bool:
        """See RedisServer."""
        return self._asks(self)


class _Sentinel(_Server):
    """A sentinel. It writes what it knows to its configuration file."""

    def __init__(
        self,
        binary: Path,
        directory: Path,
        options: dict[str, str],
        config: Callable[[], list[str]],
        answers: Callable[[RedisServer], bool],
    ) -> None:
        super().__init__(binary, directory, options, answers)
        self._config = config

    def _command(self) -> list[str]:
        file = self.directory.absolute() / "sentinel.conf"
        if not file.exists():
            own = {name: value for name, value in self._directives().items() if value}
            own = {name: value for name, value in own.items() if not name.startswith("append")}
            lines = [f"{name} {value}" for name, value in own.items()]
            file.write_text("\n".join([*lines, *self._config()]) + "\n", "utf-8")
        return [str(self.binary), str(file), "--sentinel"]


def _wait(until: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WITHIN
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {_WITHIN:.0f} s: {what}")
        time.sleep(0.02)
