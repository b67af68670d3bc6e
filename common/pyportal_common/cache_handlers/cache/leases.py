"""The right to fill a value: one loader at a time, and none that an invalidation overtook.

Leases are those of memcache (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013).
"""

import json
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .. import keys
from ..client.client import RedisClient
from ..client.errors import RedisPoolExhausted, RedisUnavailable
from ..client.scripts import Script
from ..client.values import milliseconds, to_json

State = Literal["hit", "mine", "leased", "fenced", "unavailable", "odd"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How a kind of value is cached. Times are seconds.

    ttl           how long a value is fresh
    stale_for     how long after that it is still served, while one reader refreshes it
    negative_ttl  how long it is remembered that there is none (a load that gave None); 0: not
    jitter        the share of the time to live that chance may take off, so that values that were
                  filled together do not end together
    beta          how eagerly a fresh value is refreshed before its end; 0: not
    soft_timeout  how long a reader waits for the refresh before it takes the stale value
    lease         how long a load may take until others may try
    wait          how long others wait for the one that loads, before they load for themselves
    retry         how long nobody tries again after a load that failed
    """

    ttl: float
    stale_for: float = 0.0
    negative_ttl: float = 30.0
    jitter: float = 0.05
    beta: float = 1.0
    soft_timeout: float = 0.0
    lease: float = 10.0
    wait: float = 2.0
    retry: float = 0.5

    def lives_ms(self, value: Any) -> int:
        """How long Redis keeps this value, with a little chance; 0 where it is not to be kept."""
        ttl = self.negative_ttl if value is None else self.ttl
        if ttl <= 0:
            return 0
        fresh = ttl * random.uniform(1 - self.jitter, 1)  # noqa: S311
        return milliseconds(fresh + self.stale_for)


@dataclass(frozen=True, slots=True)
class Lease:
    """What came of asking for the right to fill: `state`, and the value where that is a hit."""

    key: str
    token: str
    state: State
    value: Any = None


class Leases:
    """Leases and fills. In an outage, or when all connections are in use, nobody gets one."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._miss, self._publish, self._release = (
            Script.load(__package__, name) for name in ("miss", "publish", "release")
        )

    def ask(self, key: str, policy: Policy, *, refresh: bool = False) -> Lease:
        """After a miss, or to `refresh` a value that is there. One round trip."""
        (lease,) = self.ask_many([key], policy, refresh=refresh)
        return lease

    def ask_many(
        self, names: Sequence[str], policy: Policy, *, refresh: bool = False
    ) -> list[Lease]:
        """For several values. One round trip."""
        token = secrets.token_hex(8)
        args: list[str | int] = [token, milliseconds(policy.lease), int(refresh)]
        answers = self._run(
            [(self._miss, [key, keys.lease(key), keys.fence(key)], args) for key in names]
        )
        if answers is None:
            return [Lease(key, token, "unavailable") for key in names]
        return [
            _read(Lease(key, token, answer[0]), *answer[1:])
            for key, answer in zip(names, answers, strict=True)
        ]

    def publish(self, values: Mapping[Lease, Any], policy: Policy) -> list[bool]:
        """Fill in what was loaded under leases; whether each was accepted. One round trip."""
        commands: list[tuple[Script, list[str], list[str | int]]] = []
        for lease, value in values.items():
            lives_ms = policy.lives_ms(value)
            if lives_ms:
                names = [lease.key, keys.lease(lease.key)]
                commands.append((self._publish, names, [lease.token, to_json(value), lives_ms]))
            else:
                commands.append((self._release, [keys.lease(lease.key)], [lease.token, 0]))
        answers = self._run(commands)
        return [bool(answer) for answer in answers or [0] * len(commands)]

    def release(self, lease: Lease, policy: Policy) -> None:
        """Give one up after a load that failed: others may try after `policy.retry`."""
        args: list[str | int] = [lease.token, milliseconds(policy.retry)]
        self._run([(self._release, [keys.lease(lease.key)], args)])

    def _run(
        self, commands: Sequence[tuple[Script, list[str], list[str | int]]]
    ) -> list[Any] | None:
        try:
            if len(commands) == 1:
                return [self._client.run(*commands[0])]
            return self._client.run_many(commands)
        except (RedisUnavailable, RedisPoolExhausted):
            return None  # SQL has the answer


def _read(lease: Lease, text: str | None = None) -> Lease:
    """The lease with the value of a hit."""
    if text is None:
        return lease
    try:
        return replace(lease, value=json.loads(text))
    except (ValueError, RecursionError):
        return replace(lease, state="odd")
