"""Races and attacks: what the store has after them."""

import os
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings
from common.pyportal_common.redis_server import RedisServer
from examples.store import warehouse

from .store import Answer, Store, at_once, running_store, until

LIMIT, WINDOW = 20, 4.0


def races(version: str, redis: RedisServer, folder: Path) -> dict[str, str]:
    """All of them, in one running store."""
    with running_store(version, redis, folder) as store:
        return {
            "A price changes while a slow reader loads it": stale_after_commit(store),
            "32 requests miss the cache together": duplicate_loads(store),
            "A logout while a request is in flight": logout_undone(store),
            "Two requests change different entries of a session": lost_update(store),
            "A login with a session id that an attacker knows": fixation(store),
            f"64 requests before a window of {LIMIT} per {WINDOW:.0f} s ends, and 64 after": (
                over_admission(store)
            ),
            "An attacker who can write to Redis plants a pickle": planted_pickle(store),
        }


def stale_after_commit(store: Store) -> str:
    """The reader has read the old price before the change, and stores it after."""
    with _slow_request(store, "GET", "/prices/lamp"):
        store.request("PUT", "/prices/lamp", {"price": 80})
    found = store.request("GET", "/prices/lamp").body
    return "the new price" if found == {"price": 80} else "the old price, until it expires"


def duplicate_loads(store: Store) -> str:
    """How often the price is read."""
    before = warehouse.reads()
    with _slow_request(store, "GET", "/prices/chair"):
        others = [store.begin("GET", "/prices/chair") for _ in range(31)]
        time.sleep(1)  # they arrive
    wait(others)
    loads = warehouse.reads() - before
    return "1 load" if loads == 1 else f"{loads} loads"


def logout_undone(store: Store) -> str:
    """The request in flight has loaded the session before the logout, and saves it after."""
    session_id = store.request("POST", "/login/7").session_id
    with _slow_request(store, "POST", "/basket/lamp", session_id) as slow:
        store.request("POST", "/logout", session_id=session_id)
    users = {_user(store, each) for each in (session_id, slow.result().session_id)}
    return "logged in again" if 7 in users else "logged out"


def lost_update(store: Store) -> str:
    """The slow request has loaded the session before the other one saves it."""
    session_id = store.request("POST", "/login/7").session_id
    with _slow_request(store, "POST", "/basket/lamp", session_id):
        store.request("POST", "/currency/EUR", session_id=session_id)
    found = store.request("GET", "/me", session_id=session_id).body
    kept = (found["currency"] == "EUR") + (len(found["basket"]) == 1)
    return "both changes are kept" if kept == 2 else "one change is lost"


def fixation(store: Store) -> str:
    """The attacker got the id from the store, and the victim logs in with it."""
    known = store.request("POST", "/currency/EUR").session_id
    store.request("POST", "/login/7", session_id=known)
    return "the attacker is logged in" if _user(store, known) == 7 else "the id is replaced"


def over_admission(store: Store) -> str:
    """The most requests that were admitted within the window's length."""
    began = time.monotonic()
    admitted = [] if store.request("GET", "/offers").status != 200 else [time.monotonic()]
    for moment in (WINDOW - 1.5, WINDOW + 0.2):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        answers = at_once(store, 64, "GET", "/offers")
        admitted += [time.monotonic()] * sum(answer.status == 200 for answer in answers)
    most = max(sum(end - WINDOW < each <= end for each in admitted) for end in admitted)
    return f"{most} admitted"


def planted_pickle(store: Store) -> str:
    """Every value in Redis is replaced with one that makes a folder when it is unpickled."""
    session_id = store.request("POST", "/login/7").session_id
    trace = store.folder / "unpickled"
    planted = pickle.dumps(_MakesFolder(trace))
    client = RedisClient.connect(RedisSettings.load(url=store.redis.url, _env_file=None), db=0)
    for key in list(client.scan("*")):
        if client.execute("TYPE", key) == "string":
            prefix = b"" if "session" in key else b"!"  # as Flask-Caching marks its pickles
            client.execute("SET", key, prefix + planted, "EX", 60)
    client.close()
    store.request("GET", "/prices/lamp")
    store.request("GET", "/me", session_id=session_id)
    return "its code runs in the store" if trace.exists() else "nothing runs"


class _MakesFolder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (str(self._path), 0o777, True)


@contextmanager
def _slow_request(
    store: Store, method: str, path: str, session_id: str | None = None
) -> Iterator["Future[Answer]"]:
    """During the block a request has read the database, and does not go on before its end."""
    before = warehouse.reads()
    warehouse.slow_file().touch()
    begun = store.begin(method, path, session_id=session_id)
    try:
        until(lambda: warehouse.reads() > before)
        yield begun
    finally:
        warehouse.slow_file().unlink()
    begun.result()


def _user(store: Store, session_id: str | None) -> object:
    answer: Answer = store.request("GET", "/me", session_id=session_id)
    return answer.body["user"]
