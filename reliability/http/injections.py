"""The faults of an HTTP run, but for those that the service's processes cause: wsgi.py."""

import random
from functools import partial
from typing import Literal

from ..faults import Injection, Injector
from ..journal import Journal
from ..processes import Processes
from .servers import InstanceRelay, Servers
from .settings import instance_name

Cut = Literal["refused", "held"]

_CUTS: tuple[Cut, ...] = ("refused", "held")
_PAUSES = (0.2, 0.5, 1.0, 2.0)  # seconds between faults


class ServerFaults(Injector):
    """The faults of the Redis servers, and of the way to them."""

    def __init__(
        self, servers: Servers, processes: Processes, journal: Journal, rng: random.Random
    ) -> None:
        super().__init__(processes, journal, rng, pauses=_PAUSES)
        self._servers = servers

    def injections(self) -> list[Injection]:
        """All of them."""
        cuts = [
            Injection(f"cut-off:{instance_name(number)}:{state}", partial(self._cut, relay, state))
            for state in _CUTS
            for number, relay in enumerate(self._servers.relays)
        ]
        return [
            Injection("redis-hangs", self._hang, 4),
            Injection("redis-killed", partial(self._restart, 0, 0)),
            Injection("redis-killed:stays-down", partial(self._restart, 0.3, 2)),
            *cuts,
            Injection("writes-refused", self._refuse_writes, 3),
            Injection("failover:demoted", self._fail_over_demoted),
            Injection("failover:killed", self._fail_over_killed),
        ]

    def _hang(self) -> None:
        self._servers.primary.pause()
        self._sleep(0.2, 2)
        self._servers.primary.resume()

    def _restart(self, shortest: float, longest: float) -> None:
        self._servers.primary.kill()
        self._sleep(shortest, longest)
        self._servers.primary.start()

    def _cut(self, relay: InstanceRelay, state: Cut) -> None:
        """Cut one instance off from Redis."""
        relay.state = state
        self._sleep(0.3, 3)
        relay.state = "open"

    def _refuse_writes(self) -> None:
        self._servers.refuse_writes()
        self._sleep(0.5, 5)
        self._servers.accept_writes()

    def _fail_over_demoted(self) -> None:
        """All processes work with the old primary for a while, which refuses writes."""
        if self._servers.demote():
            self._sleep(0.2, 1.5)
            self._servers.switch()

    def _fail_over_killed(self) -> None:
        if self._servers.kill_primary():
            self._sleep(0, 0.5)
            self._servers.switch()
            self._servers.rejoin()
