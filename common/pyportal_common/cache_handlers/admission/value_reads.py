"""Reads cached values by the scripts of another client, in the same round trip."""

import logging
from typing import Any

import redis

from ..cache.read_ahead import ReadAhead
from ..client.advice import advice_on
from ..client.client import RedisClient
from ..client.connections import SendCommand
from ..client.errors import code_in, code_of

logger = logging.getLogger(__name__)

_FOR_GOOD = {"NOPERM", "ERR"}  # forbidden, or no such command or database


class ValueReads:
    """Reads values of the database of `caches` by scripts that run on connections of `sessions`.

    This needs one server for both, and if the databases differ the permission for SELECT. Values
    are used only under trust and only from connections on which every connect hook of `caches` has
    run: register those before.
    """

    def __init__(self, sessions: RedisClient, caches: RedisClient) -> None:
        self._sessions = sessions
        self._caches = caches
        self._database = "" if caches is sessions else str(caches.db)
        self._is_possible = caches.breaker is sessions.breaker
        if self._is_possible and caches is not sessions:
            sessions.on_connect(self._prepare)

    def arguments(self, key: str | None) -> list[str]:
        """The arguments of the script to read the value, or to read none.

        Call this immediately before the script, because it checks whether the key is trusted.
        """
        if key is None or not self._is_possible or not self.is_trusted(key):
            return ["", ""]
        return [key, self._database]

    def is_trusted(self, key: str) -> bool:
        """Whether the value under a key may be read."""
        return self._caches.trusts(key)

    @property
    def server(self) -> int:
        """Which server the values are on. Trust is in one: read this before `arguments`."""
        return self._caches.servers_seen

    def read(self, key: str | None, reply: list[Any], server: int) -> ReadAhead | None:
        """The value in the reply of the script; None if it was not read, or on another server."""
        if key is None or not reply or server != self.server:
            return None
        if len(reply) == 1:
            self._stop(code_in(reply[0]), reply[0])
        # SELECT may have been refused on this connection a moment ago, so no hook has run.
        return ReadAhead(self._caches, key, *reply) if self._is_possible else None

    def _prepare(self, send: SendCommand) -> None:
        """A connect hook of the sessions: run those of the caches in their database."""
        try:
            send("SELECT", self._caches.db)
        except redis.ResponseError as error:
            if code_of(error) not in _FOR_GOOD:
                raise
            self._stop(code_of(error), str(error))
            return
        self._caches.run_connect_hooks(send)
        send("SELECT", self._sessions.db)

    def _stop(self, code: str, refusal: str) -> None:
        """Read no value from now on, and say so once."""
        if not self._is_possible:
            return
        self._is_possible = False
        # What is wrong with a database is said by its own client.
        advice = f"{advice_on(code, refusal)}, and " if code == "NOPERM" else ""
        logger.warning(
            "Redis %s, refuses to read cached values together with sessions, so each request "
            "takes two round trips: %s: %srestart the service",
            self._sessions.name,
            refusal.rstrip("."),
            advice,
        )
