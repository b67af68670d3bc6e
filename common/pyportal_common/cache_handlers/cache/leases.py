"""Leases: one loader at a time, and no fill after an invalidation.

These are the leases of memcache (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013).
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .. import keys
from ..client.client import RedisClient
from ..client.errors import RedisPoolExhausted, RedisUnavailable
from ..client.scripts import Script
from ..client.values import Value, milliseconds
from .policy import Policy

State = Literal["hit", "fresh", "mine", "leased", "fenced", "unavailable", "unfit"]

_Command = tuple[Script, list[str], list[Value]]


@dataclass(frozen=True, slots=True)
class Lease:
    """The reply to a request for the right to fill a value; with the value if it exists by now.

    hit: it was filled since the miss. fresh: it was refreshed since it was read. mine: the caller
    may fill. leased: another loader may. fenced: a writer is about to commit. unavailable: Redis
    is. unfit: the cached text does not fit the policy's shape. `tags` are the keys of its tags.
    """

    key: str
    token: str
    state: State
    value: Any = None
    tags: tuple[str, ...] = ()


class Leases:
    """Requests leases and fills values. In an outage, or with a full pool, no lease is granted."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._events = client.key_events
        self._miss, self._publish, self._release = (
            Script.load(__package__, name) for name in ("miss", "publish", "release")
        )

    def request(
        self, key: str, policy: Policy, tags: tuple[str, ...] = (), *, replace_unfit: bool = False
    ) -> Lease:
        """Request a lease after a miss, or to replace an unfit value. One round trip."""
        (lease,) = self._request([key], policy, tags, 2 if replace_unfit else 0)
        return lease

    def request_refresh(
        self, key: str, left_ms: int, policy: Policy, tags: tuple[str, ...] = ()
    ) -> Lease:
        """Request a lease to refresh a value that was read with `left_ms` left. One round trip."""
        (lease,) = self._request([key], policy, tags, 1, left_ms)
        return lease

    def request_many(
        self, names: Sequence[str], policy: Policy, tags: tuple[str, ...] = ()
    ) -> list[Lease]:
        """Request leases of several values with the same tags after a miss.

        One round trip, two if a value is unfit, and none without names.
        """
        if not names:
            return []
        leases = {lease.key: lease for lease in self._request(names, policy, tags, 0)}
        unfit = [key for key, lease in leases.items() if lease.state == "unfit"]
        if unfit:
            leases |= {lease.key: lease for lease in self._request(unfit, policy, tags, 2)}
        return list(leases.values())

    def _request(
        self,
        names: Sequence[str],
        policy: Policy,
        tags: tuple[str, ...],
        mode: int,
        seen_ms: int = 0,
    ) -> list[Lease]:
        token = secrets.token_hex(8)
        args: list[Value] = [token, milliseconds(policy.lease), mode, seen_ms]
        args += [policy.longest_ms] if tags else []
        fenced = [name for tag in tags for name in (tag, keys.fence(tag))]
        replies = self._run(
            [(self._miss, [key, keys.lease(key), keys.fence(key), *fenced], args) for key in names]
        )
        if replies is None:
            return [Lease(key, token, "unavailable") for key in names]
        leases = [
            _with_value(Lease(key, token, reply[0], tags=tags), policy, *reply[1:])
            for key, reply in zip(names, replies, strict=True)
        ]
        for lease in leases:
            self._events.add(f"lease {lease.state}", lease.key)
        return leases

    def publish(self, values: Mapping[Lease, Any], policy: Policy) -> list[bool]:
        """Fill the values that were loaded; whether each was accepted. One round trip."""
        commands: list[_Command] = []
        for lease, value in values.items():
            lease_key, expiry_ms = keys.lease(lease.key), policy.expiry_ms(value)
            if expiry_ms:
                args: list[Value] = [lease.token, policy.shape.encode(value), expiry_ms]
                commands.append((self._publish, [lease.key, lease_key, *lease.tags], args))
            else:
                commands.append((self._release, [lease_key], [lease.token, 0]))
        replies = self._run(commands)
        if replies is None:  # memory may be full: others must not wait for these leases
            self._run([(self._release, [keys.lease(each.key)], [each.token, 0]) for each in values])
            return [False] * len(commands)
        for lease, reply in zip(values, replies, strict=True):
            self._events.add("fill" if reply else "no fill", lease.key)
        return [bool(reply) for reply in replies]

    def release(self, lease: Lease, retry_seconds: float) -> None:
        """Release a lease after a load without a value. Others may load after this time."""
        args: list[Value] = [lease.token, milliseconds(retry_seconds) if retry_seconds else 0]
        self._run([(self._release, [keys.lease(lease.key)], args)])

    def _run(self, commands: Sequence[_Command]) -> list[Any] | None:
        try:
            if len(commands) == 1:
                return [self._client.run(*commands[0])]
            return self._client.run_many(commands)
        except (RedisUnavailable, RedisPoolExhausted):
            return None  # the caller reads from SQL


def _with_value(lease: Lease, policy: Policy, text: str | None = None) -> Lease:
    if text is None:
        return lease
    try:
        return replace(lease, value=policy.shape.decode(text))
    except ValueError:
        return replace(lease, state="unfit")
