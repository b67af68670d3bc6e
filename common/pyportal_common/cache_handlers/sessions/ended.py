"""Ends sessions again that a Redis server has brought back, because it lost its last writes."""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import redis

from .. import keys
from ..client.client import RedisClient
from ..client.connections import SendCommand
from .user_index import session_script

logger = logging.getLogger(__name__)

_KEPT_SECONDS = 60.0  # longer than the writes that a crashed Redis may have lost
_MAX_ENDS = 2_000
_LONGEST_ENTRY = 1_000  # characters: session ids that apps choose are shorter
_BATCH = 100  # sessions that one script looks at, so that it does not hold the server
_BLOCK_SECONDS = 10.0  # of the command that waits for more
_PAUSE_SECONDS = 0.25  # after an error
_CLOSE_SECONDS = 2.0  # it may be connecting
_PAUSE_WITHOUT_PERMISSION_SECONDS = 10.0  # the inspection of the server names what is missing


class EndedSessions:
    """The sessions that ended last, in any process. Those that come back are ended again.

    A crashed server, or a replica that replaces it, may not have the last writes. A session that
    one of them ended would be valid again. So scripts add each end to a stream in Redis, and every
    process follows it. A process repeats what it has received on each new connection, before the
    connection is used, and it opens one as soon as the server is back.

    An end is kept until the server has been connected for a minute after it.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._script = session_script("end_again")
        self._ended: OrderedDict[tuple[str, str], float] = OrderedDict()  # when it was received
        self._reset()
        client.on_connect(self._on_connect)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: Any = None  # of the thread
        self._is_following = False
        self._pid = os.getpid()

    def __len__(self) -> int:
        return len(self._ended)

    def add(self, key: str, times: str) -> None:
        """Remember that the session under a key has ended. `times` are those of its document."""
        self._check_pid()
        with self._lock:
            self._ended[key, times] = time.monotonic()
            self._ended.move_to_end((key, times))
            if len(self._ended) > _MAX_ENDS:
                self._ended.popitem(last=False)

    def repeat(self, send: SendCommand) -> None:
        """End the sessions again. One round trip for each 100; none if there are none."""
        with self._lock:
            ended = list(self._ended)
        found = 0
        for start in range(0, len(ended), _BATCH):
            some = ended[start : start + _BATCH]
            words = (word.encode("utf-8", "surrogateescape") for pair in some for word in pair)
            found += int(send("EVAL", self._script.text, 0, *words))
        if found:
            logger.warning(
                "Redis %s, had lost ends of sessions: %d have ended again",
                self._client.name,
                found,
            )

    def close(self) -> None:
        """Stop following. The next connection of the client starts it again."""
        self._check_pid()
        with self._lock:
            self._closing.set()
            thread, self._thread = self._thread, None
        if self._connection is not None:
            self._connection.disconnect()
        if thread is not None and thread.is_alive():
            thread.join(_CLOSE_SECONDS)

    def _on_connect(self, send: SendCommand) -> None:
        """A connect hook."""
        self._check_pid()
        self.repeat(send)
        self._ensure_thread()

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._closing = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._closing,), name="ended-sessions", daemon=True
            )
            with suppress(RuntimeError):  # no thread can start: this process keeps its own
                self._thread.start()

    def _check_pid(self) -> None:
        if self._pid != os.getpid():  # a fork does not copy the thread
            self._reset()

    # --- the thread ---

    def _run(self, closing: threading.Event) -> None:
        while not closing.is_set():
            self._is_following, pause = False, _PAUSE_SECONDS
            try:
                with self._client.own_connection() as self._connection:
                    self._follow(self._connection, closing)
            except redis.exceptions.NoPermissionError:
                pause = _PAUSE_WITHOUT_PERMISSION_SECONDS
            except (redis.RedisError, OSError) as error:  # others log the outage
                logger.debug("The ends of sessions are not followed: %s", error)
            except Exception:
                if not closing.is_set():  # `close` disconnects it at any moment
                    logger.exception("The ends of sessions are not followed")
            if self._is_following:
                # The server closes this connection, and no other one, when it becomes a replica.
                self._client.reconnect()
            closing.wait(pause)

    def _follow(self, connection: Any, closing: threading.Event) -> None:
        def send(*command: Any) -> Any:
            connection.send_command(*command)
            return connection.read_response()

        self.repeat(send)
        connected_at, last = time.monotonic(), "0"
        words = ("COUNT", _BATCH, "BLOCK", round(_BLOCK_SECONDS * 1000), "STREAMS")
        while not closing.is_set():
            connection.send_command("XREAD", *words, keys.ENDED_SESSIONS, last)
            if not connection.can_read(_BLOCK_SECONDS + connection.socket_timeout):
                raise redis.TimeoutError("no reply")
            entries = list(_entries(connection.read_response()))
            for entry_id, entry in entries:
                last = entry_id
                if _is_ours(entry):
                    self.add(**entry)
            if not entries and _is_before(send, last):
                last = "0"
            self._is_following = True
            self._forget(before=time.monotonic() - _KEPT_SECONDS, connected_at=connected_at)

    def _forget(self, *, before: float, connected_at: float) -> None:
        if connected_at > before:  # the server may have lost what came before
            return
        with self._lock:
            while self._ended and next(iter(self._ended.values())) < before:
                self._ended.popitem(last=False)


def _is_ours(entry: Mapping[str, str]) -> bool:
    """Whether it is an entry as the scripts add it."""
    return entry.keys() == {"key", "times"} and sum(map(len, entry.values())) <= _LONGEST_ENTRY


def _is_before(send: SendCommand, last: str) -> bool:
    """Whether the newest entry is before the last one that was read.

    The stream expired and began again, and the clock of the server was set back meanwhile.
    """
    newest = send("XREVRANGE", keys.ENDED_SESSIONS, "+", "-", "COUNT", 1)
    return bool(newest) and _order(newest[0][0]) < _order(last)


def _order(entry_id: str) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split("-")))


def _entries(reply: Any) -> Iterable[tuple[str, dict[str, str]]]:
    """The entries in a reply of XREAD: their ids and fields."""
    for _, entries in reply or ():
        for entry_id, fields in entries:
            yield entry_id, dict(zip(fields[::2], fields[1::2], strict=True))
