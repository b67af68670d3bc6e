"""Notices a Redis that has started anew: it may have forgotten the last of what it was told."""

import threading
from collections.abc import Callable
from contextlib import suppress

import redis

from ..client.client import RedisClient
from ..client.connections import SendCommand

_WEEK_MS = 7 * 24 * 3600 * 1000


class RestartDetector:
    """A key that holds the run id of the server it was written to.

    A server that starts gets another run id, so the key, if it is there at all, names an earlier
    run then. Once the key is gone, nothing happens but one replay too many.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._lock = threading.Lock()

    def greet(self, exchange: SendCommand, replay: Callable[[SendCommand], None]) -> None:
        """Call `replay` where this server has not been told yet. See RedisClient.on_connect.

        Two trips to a known server. Of several connections at once one tells, the others wait.
        """
        run_id = _run_id(exchange("INFO", "server"))
        if exchange("GET", self._key) == run_id:
            return
        with self._lock:
            if exchange("GET", self._key) == run_id:
                return
            replay(exchange)
            with suppress(redis.ResponseError):  # a full memory: the next connection replays again
                exchange("SET", self._key, run_id, "PX", _WEEK_MS)

    def is_known(self, client: RedisClient) -> bool:
        """Whether the server has been told. One round trip."""
        with client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("INFO", "server")
            pipeline.get(self._key)
            info, marker = pipeline.execute()
        return bool(marker == _run_id(info))


def _run_id(info: str | dict[str, str]) -> str:
    if isinstance(info, dict):  # as redis-py reads it, where it reads it
        return str(info["run_id"])
    lines = (line.partition(":") for line in info.splitlines())
    return next(value for name, _, value in lines if name == "run_id")
