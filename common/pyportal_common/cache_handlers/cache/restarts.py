"""Detects that Redis was restarted: it may have lost its last writes."""

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis

from .. import keys
from ..client.client import RedisClient
from ..client.connections import SendCommand
from ..client.errors import RedisRefused, code_of

_WEEK_MS = 7 * 24 * 3600 * 1000


class RestartDetector:
    """A marker: a key that holds the run id of the server on which it was written.

    A server gets a new run id at each start. A marker that is missing or holds another run id
    therefore shows a restart. If the marker is lost otherwise, one replay too many is the only
    effect.

    Another run id may also be that of a server that has replaced the last one, which some process
    may still read: see `changed_until`.
    """

    def __init__(self, key: str, *, settle_seconds: float = 0.0) -> None:
        self._key = key
        self._settle_ms = round(settle_seconds * 1000)
        self._lock = threading.Lock()
        self._seen: str | None = None
        self.changed_until = -math.inf
        """Until when, by time.monotonic(), another process may still trust the last server."""

    def check(self, send: SendCommand, replay: Callable[[SendCommand], bool]) -> None:
        """In a connect hook: call `replay` if the server was restarted, then set the marker.

        If it returns False, the marker is left, and the next connection replays again.

        Two round trips if it was not, and one more on the first connection to a server. `replay`
        gets a function that raises RedisRefused for an error reply. Of several connections at once
        one replays and the others wait. See RedisClient.on_connect.
        """
        send = _refusing(send)
        run_id = _run_id(send("INFO", "server"))
        if self._marker(send) != run_id:
            with self._lock:
                self._handle_restart(send, run_id, replay)
        if self._settle_ms and self._seen != run_id:
            self._seen = run_id
            with suppress(RedisRefused):
                left_ms = min(max(0, send("PTTL", keys.CACHE_CHANGED)), self._settle_ms)
                self.changed_until = time.monotonic() + left_ms / 1000

    def _handle_restart(
        self, send: SendCommand, run_id: str, replay: Callable[[SendCommand], bool]
    ) -> None:
        marker = self._marker(send)
        if marker == run_id:
            return  # another thread has done it
        if not replay(send):
            return
        with suppress(RedisRefused):  # memory is full: the next connection replays
            if marker is not None and self._settle_ms:
                send("SET", keys.CACHE_CHANGED, run_id, "PX", self._settle_ms)
            send("SET", self._key, run_id, "PX", _WEEK_MS)

    def _marker(self, send: SendCommand) -> Any:
        try:
            return send("GET", self._key)
        except RedisRefused:  # of another type, or forbidden: as good as missing
            return None

    def is_marked(self, client: RedisClient) -> bool:
        """Whether the marker names this run of the server. One round trip."""
        try:
            with client.pipeline(transaction=False) as pipeline:
                pipeline.execute_command("INFO", "server")
                pipeline.get(self._key)
                info, marker = pipeline.execute()
        except RedisRefused:  # the marker is of another type, or forbidden
            return False
        return bool(marker == _run_id(info))


def _run_id(info: str | dict[str, str]) -> str:
    if isinstance(info, dict):  # redis-py parses the reply except in a connect hook
        return str(info["run_id"])
    lines = (line.partition(":") for line in info.splitlines())
    return next(value for name, _, value in lines if name == "run_id")


def _refusing(send: SendCommand) -> SendCommand:
    """The same function, with this layer's errors."""

    def send_or_raise(*command: Any) -> Any:
        try:
            return send(*command)
        except redis.ResponseError as error:
            raise RedisRefused(f"Redis refuses: {error}", code=code_of(error)) from error

    return send_or_raise
