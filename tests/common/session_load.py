"""A process that uses sessions from many threads; run by test_sessions_under_load.py.

Arguments: the port of a Redis server, threads, operations of each thread, users. The users' auth
epochs are counters in database 9, in place of SQL. Prints JSON: the faults, the ids of the ended
sessions and of all sessions.
"""

import json
import random
import sys
import threading
from collections import Counter
from functools import partial

from common.pyportal_common.cache_handlers import (
    Session,
    SessionChanged,
    SessionGone,
    SessionRevoked,
    SessionStore,
)

from .load import connect, run_threads

port, threads, operations, users = map(int, sys.argv[1:5])
store = SessionStore(connect(port, connections=32))
sql = connect(port, db=9, connections=32)

lock = threading.Lock()
shared: dict[str, Session] = {}  # any thread may use any session, as the tabs of a browser do
saves: Counter[str] = Counter()  # successful ones, by the first id of the session
first_id: dict[str, str] = {}
ended: list[str] = []
faults: list[str] = []


def pick() -> Session | None:
    with lock:
        return random.choice(list(shared.values())) if shared else None


def load_any() -> Session | None:
    picked = pick()
    return store.load(picked.session_id) if picked else None


def epoch_of(user: int) -> int:
    return int(sql.get(f"epoch:{user}") or 0)


def login(user: int) -> None:
    epoch = epoch_of(user)
    try:
        session = store.create(user, {"n": 0}, auth_epoch=epoch)
    except SessionRevoked:
        return
    with lock:
        shared[session.session_id] = session
        first_id[session.session_id] = session.session_id


def save(_: int) -> None:
    loaded = load_any()
    if loaded is None:
        return
    try:
        store.save(loaded.with_data(n=loaded.user_data["n"] + 1))
    except (SessionChanged, SessionGone):
        return
    with lock:
        saves[first_id[loaded.session_id]] += 1


def rotate(_: int) -> None:
    loaded = load_any()
    if loaded is None:
        return
    with lock:
        # Other threads must learn the new id together with its first id.
        try:
            new = store.rotate(loaded)
        except (SessionChanged, SessionGone, SessionRevoked):
            return
        first_id[new.session_id] = first_id[loaded.session_id]
        shared[new.session_id] = new
        shared.pop(loaded.session_id, None)
        ended.append(loaded.session_id)


def logout(_: int) -> None:
    picked = pick()
    if picked is None:
        return
    store.revoke(picked.session_id)
    with lock:
        shared.pop(picked.session_id, None)
        ended.append(picked.session_id)
    if store.load(picked.session_id) is not None:
        faults.append("a session was valid after its logout")


def revoke_all(user: int) -> None:
    before = {session.session_id for session in store.list(user)}
    epoch = int(sql.execute("INCR", f"epoch:{user}"))
    store.revoke_all(user, auth_epoch=epoch)
    if any(store.load(session_id) for session_id in before):
        faults.append("a session was valid after a later revoke_all")


def mix(seed: int) -> None:
    chance = random.Random(seed)
    choices = [login, save, rotate, logout, revoke_all]
    for _ in range(operations):
        operation = chance.choices(choices, [30, 40, 15, 10, 5])[0]
        try:
            operation(chance.randrange(users))
        except Exception as error:  # noqa: BLE001  the test fails with it
            faults.append(repr(error))


run_threads([partial(mix, seed) for seed in range(threads)])

for session_id, first in first_id.items():
    session = store.load(session_id)
    if session is not None and session.user_data["n"] != saves[first]:
        faults.append(
            f"{saves[first]} saves were acknowledged, {session.user_data['n']} are stored"
        )
print(json.dumps({"faults": faults, "ended": ended, "sessions": list(first_id)}))
