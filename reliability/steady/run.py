"""The portal under a steady load that adds nothing to Redis for long, and samples of it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

from ..load import BOOKERS, OWNERS, VISITORS, LoadSettings
from ..portal import FLIGHT, SERVICES, Portal
from ..processes import Processes, python
from ..servers import empty_databases, running_redis
from ..settings import ROOT, RunSettings
from ..topologies.history import load
from .judge import violations
from .samples import Sample, sample

_EVERY = 5.0  # seconds
_RUSH_THREADS = 32  # more than the two processes of a service have
_RUSH_REQUESTS, _RUSH_BOOKINGS = 1500, 400
_BOOK_EVERY = 4.0  # seconds: the two notifications of a booking are cached for an hour


@dataclass(frozen=True)
class Outcome:
    """The samples with their times in seconds, what was answered, and what is wrong."""

    samples: list[tuple[float, Sample]]
    responses: Counter[str]
    violations: list[str]


class SteadyRun:
    """A run of `settings.seconds`."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._processes = Processes()

    def execute(self) -> Outcome:
        """Start everything, sample it, stop everything, and judge."""
        folder = self._settings.folder
        with (
            empty_databases(folder, self._settings.database, SERVICES) as urls,
            running_redis(folder) as redis,
        ):
            portal = Portal(
                self._settings, self._processes, urls, lambda _: {"REDIS_URL": redis.url}
            )
            try:
                portal.start(OWNERS + BOOKERS + VISITORS)
                _rush(portal)
                pids = self._processes.pids()
                self._start_load(portal)
                samples: list[tuple[float, Sample]] = []
                began = monotonic()
                while (at := monotonic() - began) < self._settings.seconds:
                    samples.append((at, sample(pids, redis)))
                    self._processes.sleep(_EVERY)
                restarted = [r for r, pid in self._processes.pids().items() if pids.get(r) != pid]
            finally:
                portal.stop()
        requests = load(folder).requests
        responses = Counter(f"{request.kind} {request.outcome}" for request in requests)
        found = [f"{role} was restarted" for role in restarted if role != "load"]
        failed = sum(not each.is_answered and each.outcome != "503" for each in requests)
        if failed:
            found.append(f"{failed} requests failed otherwise than with 503")
        return Outcome(samples, responses, found + violations(samples))

    def _start_load(self, portal: Portal) -> None:
        load_settings = LoadSettings(
            portal.ports, book_seconds=_BOOK_EVERY, registers=False, keeps_sessions=False
        )
        variables = {"PYTHONPATH": str(ROOT), **load_settings.variables()}
        command = ("-m", "reliability.load")
        self._processes.start("load", python(self._settings, variables, *command))


def _rush(portal: Portal) -> None:
    """Have every thread of services and workers open its connections now, not by and by."""
    session_id = portal.log_in(1)
    paths = {
        "usermanagement": "/users/1",
        "taskprocessing": f"/flights/{FLIGHT}/availability",
        "notification": "/notifications",
    }

    booking = {"taskType": "flight_booking", "parameters": {"flightId": FLIGHT, "seats": 1}}

    def look(number: int) -> None:
        name = SERVICES[number % len(SERVICES)]
        portal.client(name, session_id).call("GET", paths[name])

    def book(number: int) -> None:
        portal.client("taskprocessing", session_id).call("POST", "/tasks", booking, f"r{number}")

    with ThreadPoolExecutor(_RUSH_THREADS) as threads:
        list(threads.map(look, range(_RUSH_REQUESTS)))
        list(threads.map(book, range(_RUSH_BOOKINGS)))
