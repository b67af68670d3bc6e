"""Repeats the records of invalidations in a Redis that may have lost what they did.

A server that crashed may have lost removals that it had acknowledged: the first connection to it
repeats the records of the last minute.

Where sentinels replace the server, some process may use the former one for a moment, and have its
removals acknowledged there. So each process repeats the records again when that is over, and reads
no cached value of the new server before.
"""

import logging
import time
from collections.abc import Callable
from functools import partial

from ..cache_handlers import (
    MASTER_KNOWN_FOR_SECONDS,
    RedisClient,
    RestartDetector,
    SendCommand,
    keys,
)
from .applying import Applier
from .records import Records

logger = logging.getLogger(__name__)

LONGEST_REMOVAL_SECONDS = 1.0
"""One that takes longer does not count where a server is replaced."""

_SETTLE_SECONDS = MASTER_KNOWN_FOR_SECONDS + LONGEST_REMOVAL_SECONDS


class Replays:
    """The repetitions of the records, in the Redis of caches and in that of sessions.

    `wake` has the thread of `repeat` look at once, which `ensure_thread` starts.
    """

    def __init__(
        self,
        records: Records,
        applier: Applier,
        cache: RedisClient,
        sessions: RedisClient | None,
        *,
        trust_seconds: float,
        ensure_thread: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self._records = records
        self._applier = applier
        self._ensure_thread = ensure_thread
        self._wake = wake
        self._repeated: dict[RedisClient, int] = {}  # in which of its servers
        self._of_cache = RestartDetector(
            cache,
            keys.CACHE_MARKER,
            settle_seconds=_settle_seconds(cache, trust_seconds),
            changed_key=keys.CACHE_CHANGED,
        )
        self._restarts = {cache: self._of_cache}
        if sessions is not None and sessions is not cache:
            self._restarts[sessions] = RestartDetector(
                sessions, keys.SESSIONS_MARKER, settle_seconds=_settle_seconds(sessions, 0.0)
            )
        for client, restarts in self._restarts.items():
            client.on_connect(partial(self._on_connect, client, restarts))

    @property
    def settled_at(self) -> float:
        """From when on, by time.monotonic(), no process uses a cache that was replaced."""
        return self._of_cache.changed_until

    def are_due(self, client: RedisClient) -> bool:
        """Whether the records have to be repeated in the server that has taken over."""
        return client.master is not None and self._repeated.get(client, 0) != client.servers_seen

    def repeat(self) -> None:
        """Repeat all records in a server that took over, when no process uses the former one."""
        for client, restarts in self._restarts.items():
            server = client.servers_seen
            is_settled = restarts.changed_until <= time.monotonic()
            if is_settled and self.are_due(client):
                client.breaker.check()
                self._applier.set_aside(self._applier.apply(self._records.all(), client))
                self._repeated[client] = server

    def reconnect_unmarked(self) -> bool:
        """Whether a server lacks its marker. The next connection to it repeats the records."""
        unmarked = [
            client for client, restarts in self._restarts.items() if not restarts.is_marked()
        ]
        for client in unmarked:
            client.reconnect()
        return bool(unmarked)

    def _on_connect(
        self, client: RedisClient, restarts: RestartDetector, send: SendCommand
    ) -> None:
        self._ensure_thread()
        restarts.check(send, partial(self._replay, client))
        if self.are_due(client):
            self._wake()

    def _replay(self, client: RedisClient, send: SendCommand) -> bool:
        """Repeat what all records do on the server of a client, on one connection.

        Returns whether all of it is done, or stored as failed.
        """
        records = self._records.all()
        failures = self._applier.apply(records, client, send)
        if records:
            logger.info(
                "Redis was restarted or replaced: repeated the last %d invalidations", len(records)
            )
        known = {record.id for record in records if record.has_failed}
        self._applier.note_failures({n: why for n, why in failures.items() if n not in known})
        self._wake()
        return failures.keys() <= known


def _settle_seconds(client: RedisClient, trust_seconds: float) -> float:
    """For how long some process may use a server that was replaced."""
    return max(trust_seconds, _SETTLE_SECONDS) if client.master is not None else trust_seconds
