"""Detects that Redis was restarted: it may have lost its last writes."""

import threading
from collections.abc import Callable
from contextlib import suppress

import redis

from ..client.client import RedisClient
from ..client.connections import SendCommand

_WEEK_MS = 7 * 24 * 3600 * 1000


class RestartDetector:
    """A marker: a key that holds the run id of the server on which it was written.

    A server gets a new run id at each start. A marker that is missing or holds another run id
    therefore shows a restart. If the marker is lost otherwise, one replay too many is the only
    effect.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._lock = threading.Lock()

    def check(self, send: SendCommand, replay: Callable[[SendCommand], None]) -> None:
        """In a connect hook: call `replay` if the server was restarted, then set the marker.

        Two round trips if it was not. Of several connections at once one replays and the others
        wait. See RedisClient.on_connect.
        """
        run_id = _run_id(send("INFO", "server"))
        if send("GET", self._key) == run_id:
            return
        with self._lock:
            if send("GET", self._key) == run_id:
                return
            replay(send)
            with suppress(redis.ResponseError):  # memory is full: the next connection replays
                send("SET", self._key, run_id, "PX", _WEEK_MS)

    def is_marked(self, client: RedisClient) -> bool:
        """Whether the marker names this run of the server. One round trip."""
        with client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("INFO", "server")
            pipeline.get(self._key)
            info, marker = pipeline.execute()
        return bool(marker == _run_id(info))


def _run_id(info: str | dict[str, str]) -> str:
    if isinstance(info, dict):  # redis-py parses the reply except in a connect hook
        return str(info["run_id"])
    lines = (line.partition(":") for line in info.splitlines())
    return next(value for name, _, value in lines if name == "run_id")
