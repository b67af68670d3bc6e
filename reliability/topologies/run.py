"""The portal over one topology, under a steady load, with one fault after another."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from sqlalchemy import create_engine

from common.pyportal_common.testing.redis_kinds import RedisKind
from common.pyportal_common.testing.users import PASSWORD

from ..journal import now
from ..load import BOOKERS, OWNERS, VISITORS, LoadSettings
from ..portal import Portal, Programs
from ..processes import Processes, python
from ..rows import Row, read_rows
from ..servers import ServerSpec, empty_databases, server_spec
from ..settings import ROOT, RunSettings
from .history import KINDS, History, load
from .judge import Limit, Result, judge
from .network import SOURCE, Network
from .sentinel import running_sentinels
from .topology import SOURCES, Fault, Topology, running_plain

LIMITS = (Limit("register", "201", 5, 5), Limit("book", "202", 8, 5))

_PROGRAMS = Programs("reliability.topologies.process", "reliability.topologies.process")
_WITHIN = 120.0  # seconds, for the servers to be in step, and for errors to end
_CALM = 4.0  # seconds without an error, before and after a fault

Running = Callable[[Path, Network, ServerSpec], AbstractContextManager[Topology]]

_RUNNING: Mapping[str, Running] = {
    "plain": running_plain,
    "valkey": running_plain,
    "sentinel": running_sentinels,
}


class TopologyRun:
    """A run of these faults, or of all that the topology has."""

    def __init__(self, settings: RunSettings, kind: RedisKind, faults: Sequence[str] = ()) -> None:
        self._settings = settings
        self._kind = kind
        self._names = faults
        self._journal = settings.journal("main")
        self._processes = Processes()

    def execute(self) -> list[Result]:
        """Start everything, run it under faults, stop everything, and judge."""
        folder, kind = self._settings.folder, self._settings.database
        with (
            closing(Network(self._settings.seed)) as network,
            empty_databases(folder, kind, list(SOURCES)) as urls,
            _RUNNING[self._kind.servers](
                folder, network, server_spec(self._kind, folder)
            ) as topology,
        ):

            def variables(service: str) -> dict[str, str]:
                return self._variables(topology, service)

            portal = Portal(self._settings, self._processes, urls, variables, _PROGRAMS)
            try:
                portal.start(OWNERS + BOOKERS + VISITORS)
                self._start_load(portal)
                chosen = self._chosen(topology)
                for name, fault in chosen.items():
                    self._inject(topology, portal, name, fault)
                history = load(folder)
                _read_sql(history, urls)
            finally:
                ended_badly = portal.stop()
        losses = {name: fault.loses_seconds for name, fault in chosen.items()}
        results = judge(history, LIMITS, losses)
        results[-1].violations += [f"{name} did not stop cleanly" for name in ended_badly]
        return results

    def _variables(self, topology: Topology, service: str) -> dict[str, str]:
        limits = {limit.kind: f"{limit.limit}/{limit.seconds:.0f}" for limit in LIMITS}
        account = {"REDIS_USERNAME": service, "REDIS_PASSWORD": PASSWORD} if self._kind.acl else {}
        return {
            **topology.variables(),
            **account,
            SOURCE: SOURCES[service],
            "HASH_CONCURRENCY": "8",  # a login may wait for a busy machine, and is no 503 then
            "RATE_LIMIT_REGISTER": limits["register"],
            "RATE_LIMIT_TASKS": limits["book"],
        }

    def _chosen(self, topology: Topology) -> dict[str, Fault]:
        faults = topology.faults()
        unknown = set(self._names) - faults.keys()
        if unknown:
            raise SystemExit(f"{self._kind.servers} has no fault {', '.join(sorted(unknown))}")
        return {name: faults[name] for name in self._names or faults}

    def _start_load(self, portal: Portal) -> None:
        variables = {"PYTHONPATH": str(ROOT), **LoadSettings(portal.ports).variables()}
        command = ("-m", "reliability.load")
        self._processes.start("load", python(self._settings, variables, *command))
        if not self._processes.wait_until(self._everything_works, _WITHIN):
            raise RuntimeError("the load does not start")

    def _everything_works(self) -> bool:
        """Whether some request of each kind was answered."""
        answered = (each for each in load(self._settings.folder).requests if each.is_answered)
        return {each.kind for each in answered} == set(KINDS)

    def _inject(self, topology: Topology, portal: Portal, name: str, fault: Fault) -> None:
        """One window, see history.py."""
        opened = now()
        self._wait_until_calm()
        lag, begin = topology.lag(), now()
        fault.inject(self._processes.sleep)
        end = now()
        if not self._processes.wait_until(topology.is_whole, _WITHIN):
            raise RuntimeError(f"the servers are not in step after {name}")
        self._wait_until_calm()
        closed = now()
        words = (name, opened, begin, end, closed, "-" if lag is None else lag)
        self._journal.note("window", *words)
        self._check_sessions(portal, opened)

    def _wait_until_calm(self) -> None:
        """Wait for some seconds without an error. On a starved machine they may take a while."""
        deadline = monotonic() + _WITHIN
        while monotonic() < deadline:
            since = now()
            self._processes.sleep(_CALM)
            recent = [each for each in load(self._settings.folder).requests if each.end >= since]
            if recent and all(each.is_answered for each in recent):
                return

    def _check_sessions(self, portal: Portal, since: int) -> None:
        """Use every session that began or ended since then."""
        history = load(self._settings.folder)
        for session_id in history.live_sessions(since):
            # It may have been ended since the journal was read.
            if self._status(portal, session_id) == 401 and session_id in self._live(since):
                self._journal.note("lost", session_id)
        for session_id in history.ended_sessions(since):
            if self._status(portal, session_id) == 200:
                self._journal.note("returned", session_id)

    def _status(self, portal: Portal, session_id: str) -> int:
        return portal.client("usermanagement", session_id).call("GET", "/session").status

    def _live(self, since: int) -> set[str]:
        return load(self._settings.folder).live_sessions(since)


@dataclass(frozen=True, slots=True)
class _User:
    id: int
    first_name: str | None


@dataclass(frozen=True, slots=True)
class _Task:
    id: int


def _read_sql(history: History, urls: Mapping[str, str]) -> None:
    users = _rows(urls["usermanagement"], "users", _User)
    history.users = {str(user.id) for user in users}
    history.tasks = {str(task.id) for task in _rows(urls["taskprocessing"], "tasks", _Task)}
    history.numbers = {user.id: int(user.first_name or 0) for user in users[:OWNERS]}


def _rows(url: str, name: str, row: type[Row]) -> list[Row]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return read_rows(connection, name, row)
    finally:
        engine.dispose()
