"""User Management in several processes over HTTP, its clients, and the faults of Redis."""

import time
from pathlib import Path

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings, SessionStore
from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.redis_server import free_port

from ..cache.subject import create_users
from ..http_client import HttpClient
from ..processes import Processes, gunicorn, python, service_variables
from ..servers import empty_database
from ..settings import ROOT, RunSettings
from .checker import History, load
from .clients import PROCESSES
from .injections import ServerFaults
from .servers import Servers, running_servers
from .settings import SERVICE_TOKEN, USERS, ClientSettings, instance_name

_SERVICE = ROOT / "usermanagement-service"
_SLOWEST = 40  # operations a second: on a slower machine a run ends before all of them
_START = 30.0  # seconds for the service to start
_STOP = 15.0  # seconds for all processes to end


class HttpRun:
    """A run of so many successful operations, at so many `instances` of the service.

    Each instance has a gunicorn of its own with two processes, a port, and a way to Redis, as on a
    host of its own. They share Redis and SQL.

    The `layout` says where sessions are: in the cache's database ("together"), in another one of
    the same server ("databases"), or on a server of their own ("apart").
    """

    def __init__(
        self,
        settings: RunSettings,
        operations: int,
        *,
        instances: int,
        layout: str,
        trust_seconds: float,
    ) -> None:
        self._settings = settings
        self._operations = operations
        self._apart = layout == "apart"
        self._sessions_db = 0 if layout == "together" else 1
        self._trust_seconds = trust_seconds
        self._ports = [free_port() for _ in range(instances)]
        self._journal = settings.journal("main")
        self._processes = Processes(may_finish=True)

    def execute(self) -> History:
        """Start everything, run it under faults, and stop everything."""
        folder = self._settings.folder
        with (
            empty_database(folder, self._settings.database) as url,
            running_servers(folder, instances=len(self._ports), apart=self._apart) as (
                servers,
                sessions,
            ),
        ):
            migrate(url, _SERVICE / "migrations")
            create_users(url)
            try:
                self._start(url, servers, sessions)
                if not self._processes.wait_until(self._is_ready, _START):
                    raise RuntimeError(f"the service does not start:\n{_logs(folder)}")
                self._run(servers, sessions)
            finally:
                self._processes.terminate(_STOP)
        return load(folder)

    def _start(self, url: str, servers: Servers, sessions_url: str) -> None:
        for number, (port, relay) in enumerate(zip(self._ports, servers.relays, strict=True)):
            variables = {
                **service_variables(_SERVICE, url, f"redis://127.0.0.1:{relay.port}", port),
                "SESSION_REDIS_URL": sessions_url,
                "SESSION_REDIS_DB": str(self._sessions_db),
                "CACHE_TRUST_SECONDS": str(self._trust_seconds),
                "SERVICE_TOKENS": f"stress:{SERVICE_TOKEN}",
                "RATE_LIMIT_READS": "1000000000/60",
            }
            command = gunicorn(_SERVICE, "reliability.http.wsgi")
            launch = python(self._settings, variables, "-m", *command)
            self._processes.start(instance_name(number), launch)

    def _is_ready(self) -> bool:
        token = {"X-Service-Token": SERVICE_TOKEN}
        return all(
            HttpClient(port, token).call("GET", "/users/1").status == 200 for port in self._ports
        )

    def _run(self, servers: Servers, sessions_url: str) -> None:
        until = time.monotonic() + 30 + self._operations / _SLOWEST
        self._start_clients(sessions_url or servers.primary.url, until)
        faults = ServerFaults(
            servers, self._processes, self._journal, self._settings.random_for("faults")
        )
        self._settings.arm()
        faults.inject(faults.injections(), lambda: self._clients_run() and time.monotonic() < until)
        self._settings.disarm()
        self._processes.wait_until(lambda: not self._clients_run(), _STOP)

    def _start_clients(self, sessions_url: str, until: float) -> None:
        sessions = _log_in(sessions_url, self._sessions_db)
        clients = ClientSettings(
            ports=self._ports,
            sessions=sessions[1:],
            admin_session=sessions[0],
            operations=self._operations // PROCESSES,
            until=until,
        )
        variables = {"PYTHONPATH": str(ROOT), **clients.variables()}
        for number in range(PROCESSES):
            command = ("-m", "reliability.http.clients", str(number))
            self._processes.start(f"clients{number}", python(self._settings, variables, *command))

    def _clients_run(self) -> bool:
        return self._processes.are_running("clients")


def _log_in(redis_url: str, db: int) -> list[str]:
    """The ids of an admin's session, and of one for each user."""
    client = RedisClient.connect(RedisSettings.load(url=redis_url, _env_file=None), db=db)
    store = SessionStore(client)
    roles = ["admin"] + ["user"] * USERS
    found = [store.create(n, {"role": role}).session_id for n, role in enumerate(roles)]
    client.close()
    return found


def _logs(folder: Path) -> str:
    return "".join(path.read_text("utf-8")[-2000:] for path in folder.glob("*.log"))
