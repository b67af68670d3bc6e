"""Detects that Redis was restarted, or replaced: it may have lost its last writes."""

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis

from ..client.client import RedisClient
from ..client.connections import SendCommand
from ..client.errors import RedisRefused, code_of

_WEEK_MS = 7 * 24 * 3600 * 1000
_SECTIONS = ("server", "replication")  # of INFO


class RestartDetector:
    """A marker: a key that holds the identity of the server on which it was written.

    That is its run id, which is another one after each start; the id of its replication, which is
    another one after each promotion; and the number of the failover, if there are sentinels. A
    master that was replaced, and takes its place again with the data of before, finds its own run
    id, and if it was never told that it was replaced, also its own replication.

    A marker that is missing or holds another identity shows that writes may be lost. If the marker
    is lost otherwise, one replay too many is the only effect, and so it is when a server gets its
    first replica.

    Another identity may also be that of a server that has replaced another one, which some process
    may still use for `settle_seconds`. With a `changed_key`, of a key that exists meanwhile, all
    processes know when that time began. That there was another one is also known if sentinels have
    counted a failover, or this process has used it: a replica that was promoted may not have
    received the marker yet. `client` counts the servers that were found.
    """

    def __init__(
        self,
        client: RedisClient,
        key: str,
        *,
        settle_seconds: float = 0.0,
        changed_key: str | None = None,
    ) -> None:
        self._client = client
        self._key = key
        self._changed_key = changed_key
        self._settle_ms = round(settle_seconds * 1000)
        self._lock = threading.Lock()
        self._seen: str | None = None
        self.changed_until = -math.inf
        """Until when, by time.monotonic(), another process may still use the former server."""

    def check(self, send: SendCommand, replay: Callable[[SendCommand], bool]) -> None:
        """In a connect hook: call `replay` if the server was restarted, then set the marker.

        If it returns False, the marker is left, and the next connection replays again.

        Two round trips if it was not, and one more on the first connection to a server. `replay`
        gets a function that raises RedisRefused for an error reply. Of several connections at once
        one replays and the others wait. See RedisClient.on_connect.
        """
        send = _refusing(send)
        server = self._identity(send("INFO", *_SECTIONS))
        is_marked = self._marker(send) == server
        if not is_marked:
            with self._lock:
                is_marked = self._handle_restart(send, server, replay)
        if self._seen == server:
            return
        with self._lock:
            if self._seen != server:
                self._note(send, server, is_marked=is_marked)

    def _note(self, send: SendCommand, server: str, *, is_marked: bool) -> None:
        left_ms = self._settle_ms
        with suppress(RedisRefused):
            if self._changed_key is not None and is_marked:
                left_ms = min(max(0, send("PTTL", self._changed_key)), left_ms)
        self.changed_until = time.monotonic() + left_ms / 1000
        self._seen = server
        self._client.servers_seen += 1  # last: the above is of the server with this number

    def _handle_restart(
        self, send: SendCommand, server: str, replay: Callable[[SendCommand], bool]
    ) -> bool:
        """Whether the server is marked now. The next connection to one that is not replays."""
        marker = self._marker(send)
        if marker == server:
            return True  # another thread has done it
        if not replay(send):
            return False
        try:
            if self._changed_key is not None and self._has_replaced(server, marker):
                send("SET", self._changed_key, server, "PX", self._settle_ms)
            send("SET", self._key, server, "PX", _WEEK_MS)
        except RedisRefused:  # memory is full
            return False
        return True

    def _has_replaced(self, server: str, marker: Any) -> bool:
        """Whether another server, or another run of this one, was used before."""
        others_seen = self._client.servers_seen - (self._seen == server)
        if marker is not None or others_seen > 0:
            return True
        return self._client.master is not None and self._client.master.epoch > 0

    def _marker(self, send: SendCommand) -> Any:
        try:
            return send("GET", self._key)
        except RedisRefused:  # of another type, or forbidden: as good as missing
            return None

    def is_marked(self) -> bool:
        """Whether the marker names this run of the server. One round trip."""
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.execute_command("INFO", *_SECTIONS)
                pipeline.get(self._key)
                info, marker = pipeline.execute()
        except RedisRefused:  # the marker is of another type, or forbidden
            return False
        return bool(marker == self._identity(info))

    def _identity(self, info: str | dict[str, str]) -> str:
        if isinstance(info, str):  # redis-py parses the reply except in a connect hook
            lines = (line.partition(":") for line in info.splitlines())
            info = {name: value for name, _, value in lines}
        parts = [info["run_id"], info.get("master_replid", "")]
        if self._client.master is not None:
            parts.append(str(self._client.master.epoch))
        return ":".join(parts)


def _refusing(send: SendCommand) -> SendCommand:
    """The same function, with this layer's errors."""

    def send_or_raise(*command: Any) -> Any:
        try:
            return send(*command)
        except redis.ResponseError as error:
            raise RedisRefused(f"Redis refuses: {error}", code=code_of(error)) from error

    return send_or_raise
