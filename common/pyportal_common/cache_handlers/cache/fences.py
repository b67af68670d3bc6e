"""Fences: no value is cached around the COMMIT that changes its row."""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from .. import keys
from ..client.client import RedisClient
from ..client.errors import RedisUnavailable
from ..client.scripts import Script
from ..client.values import Value
from .policy import Policy

_CHUNK = 60  # values of one script, with their leases and fences: it must not hold the server


@dataclass(frozen=True, slots=True)
class Fill:
    """A value as it is cached: its text or bytes, and the ms until it expires."""

    text: str | bytes
    expiry_ms: int

    @classmethod
    def of(cls, value: Any, policy: Policy) -> Self:
        """The fill of a value that is not None."""
        return cls(policy.shape.encode(value), policy.expiry_ms(value))


_NO_FILL = Fill("", 0)


@dataclass(frozen=True, slots=True)
class Fence:
    """The fence of one writer around its COMMIT, for `Cache.unfence`."""

    keys: tuple[str, ...]
    token: str
    placed: bool
    """Whether Redis has acknowledged it."""


class Fences:
    """Places fences, which end after `fence_ms` at the latest, and removes them."""

    def __init__(self, client: RedisClient, *, fence_ms: int) -> None:
        self._client = client
        self._events = client.key_events
        self._fence_ms = fence_ms
        self._place, self._remove = (
            Script.load(__package__, name) for name in ("fence", "unfence")
        )

    def place(self, names: Collection[str], *, fills: bool) -> Fence:
        """See `Cache.fence`."""
        fence = Fence(tuple(sorted(set(names))), secrets.token_hex(8), placed=True)
        try:
            leases = [self._fence_ms] if fills else []
            self._run_on(fence, self._place, [fence.token, self._fence_ms, *leases])
        except RedisUnavailable:
            self._events.add("fence not acknowledged", *fence.keys)
            return replace(fence, placed=False)
        self._events.add("fence", *fence.keys)
        return fence

    def remove(self, fence: Fence, fills: Mapping[str, Fill] | None) -> None:
        """See `Cache.unfence`."""
        try:
            self._run_on(fence, self._remove, [fence.token], fills if fence.placed else None)
        except RedisUnavailable:
            self._events.add("lift not acknowledged", *fence.keys)
            raise
        self._events.add("lift with fill" if fills else "lift", *fence.keys)

    def _run_on(
        self,
        fence: Fence,
        script: Script,
        args: Sequence[Value],
        fills: Mapping[str, Fill] | None = None,
    ) -> None:
        commands = [
            (script, _names(chunk), [*args, *_texts(chunk, fills)])
            for chunk in in_chunks(fence.keys)
        ]
        if len(commands) == 1:
            self._client.run(*commands[0])
        elif commands:
            self._client.run_many(commands)


def in_chunks(names: Sequence[str]) -> list[Sequence[str]]:
    """The names in groups, each of one command or script."""
    return [names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK)]


def _names(chunk: Sequence[str]) -> list[str]:
    return [name for key in chunk for name in (key, keys.lease(key), keys.fence(key))]


def _texts(chunk: Sequence[str], fills: Mapping[str, Fill] | None) -> Iterator[Value]:
    for fill in [fills.get(name, _NO_FILL) for name in chunk] if fills else ():
        yield from (fill.text, fill.expiry_ms)
