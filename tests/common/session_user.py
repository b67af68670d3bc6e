"""A process that uses a session, or ends it; run by test_session_ends.py.

Arguments: the port of a Redis server; "use" or "end"; the session's id. What ends it prints "ended"
and waits. What uses it, from several threads at once, prints "valid", then "ended" when it has
received the end, then "used again" when Redis answers after an outage, and on SIGTERM how many
times it found the session after its end.
"""

import signal
import sys
import threading
import time
from contextlib import suppress

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisSettings,
    RedisUnavailable,
    SessionStore,
)
from common.pyportal_common.cache_handlers.sessions.ended import EndedSessions

from .load import run_threads

THREADS = 8

port, what, session_id = sys.argv[1:4]
settings = RedisSettings.load(url=f"redis://127.0.0.1:{port}", _env_file=None)
store = SessionStore(RedisClient.connect(settings, db=0))
stopping, has_ended, was_away = threading.Event(), threading.Event(), threading.Event()
found: list[float] = []
again: list[float] = []


def use() -> None:
    while not stopping.is_set():
        is_over, is_later = has_ended.is_set(), was_away.is_set()
        try:
            session = store.load(session_id)
        except RedisUnavailable:
            if is_over:
                was_away.set()
            time.sleep(0.001)
            continue
        if is_over and session is not None:
            found.append(time.monotonic())
        if is_later:
            again.append(time.monotonic())


def report() -> None:
    while not stopping.is_set() and not len(store.client.companions.of(EndedSessions)):
        time.sleep(0.001)
    has_ended.set()
    print("ended", flush=True)
    while not stopping.is_set() and len(again) < 50 * THREADS:
        time.sleep(0.01)
    print("used again", flush=True)


if what == "end":
    assert store.revoke(session_id)
    print("ended", flush=True)
    signal.pause()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
assert store.load(session_id) is not None
print("valid", flush=True)
with suppress(KeyboardInterrupt):
    run_threads([use] * THREADS + [report])
print(f"found {len(found)} times", flush=True)
