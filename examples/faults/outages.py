"""Outages of Redis: how long the store takes to answer, and what."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

from common.pyportal_common.redis_server import RedisServer

from .store import PATIENCE, Answer, Store, at_once, running_store

_PAGES = {
    "a cached page": ("GET", "/prices/lamp"),
    "a limited page": ("GET", "/offers"),
    "a page with a session": ("GET", "/me"),
}
_DELAY = 0.05  # seconds, of each message to Redis


def hung(version: str, redis: RedisServer, folder: Path) -> dict[str, str]:
    """The server accepts connections and does not answer (SIGSTOP)."""
    with running_store(version, redis, folder) as store:
        session_id = _warm(store)
        redis.pause()
        try:
            return _answers("Redis hangs", store, session_id)
        finally:
            redis.resume()


def dead(version: str, redis: RedisServer, folder: Path) -> dict[str, str]:
    """The server was killed."""
    with running_store(version, redis, folder) as store:
        session_id = _warm(store)
        redis.kill()
        try:
            return _answers("Redis is dead", store, session_id)
        finally:
            redis.start()


def slow(version: str, redis: RedisServer, folder: Path) -> dict[str, str]:
    """The network to Redis takes 50 ms in one direction."""
    with (
        _delaying_relay(redis.port) as url,
        running_store(version, redis, folder, redis_url=url) as store,
    ):
        session_id = _warm(store)
        row = "Redis is 50 ms away"
        return {
            f"{row}: {page}": f"{_median_seconds(store, *request, session_id):.2f} s"
            for page, request in _PAGES.items()
        }


def _warm(store: Store) -> str | None:
    """Use everything once in both processes. Returns the id of a session."""
    for _ in range(8):
        for method, path in _PAGES.values():
            store.request(method, path)
    return store.request("POST", "/login/7").session_id


def _answers(row: str, store: Store, session_id: str | None) -> dict[str, str]:
    """The first answer of each page, and that after both processes have noticed the outage."""
    first = _pages_at_once(store, session_id)
    at_once(store, 16, *_PAGES["a cached page"])
    later = _pages_at_once(store, session_id)
    return {
        f"{row}: {page}": f"{_described(first[page])}, then {_described(later[page])}"
        for page in _PAGES
    }


def _pages_at_once(store: Store, session_id: str | None) -> dict[str, Answer]:
    begun = {page: store.begin(*request, session_id=session_id) for page, request in _PAGES.items()}
    return {page: each.result() for page, each in begun.items()}


def _described(answer: Answer) -> str:
    if answer.status is None:
        return f"no answer in {PATIENCE:.0f} s"
    return f"{answer.status} after {answer.seconds:.1f} s"


def _median_seconds(store: Store, method: str, path: str, session_id: str | None) -> float:
    answers = [store.request(method, path, session_id=session_id) for _ in range(5)]
    return median(answer.seconds for answer in answers)


@contextmanager
def _delaying_relay(server_port: int) -> Iterator[str]:
    """The URL of a relay to a server that holds each message to it for a while."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, server_port), daemon=True).start()
    try:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def _accept(listener: socket.socket, server_port: int) -> None:
    with suppress(OSError):  # the listener was closed
        while True:
            near = listener.accept()[0]
            far = socket.create_connection(("127.0.0.1", server_port))
            for source, target, delay in ((near, far, _DELAY), (far, near, 0.0)):
                threading.Thread(target=_forward, args=(source, target, delay), daemon=True).start()


def _forward(source: socket.socket, target: socket.socket, delay: float) -> None:
    with suppress(OSError), source, target:
        while chunk := source.recv(65536):
            time.sleep(delay)
            target.sendall(chunk)
