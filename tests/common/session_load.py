"""A process that uses sessions from many threads; run by test_sessions_under_load.py.

Arguments: the port of a Redis server, threads, operations a thread, users. The users' auth epochs
are counters in database 9, as a SQL row would hold them. Prints JSON: the sessions it began, by
id, with what it knows of each.
"""

import json
import random
import sys
import threading
from collections import Counter

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisSettings,
    Session,
    SessionChanged,
    SessionGone,
    SessionRevoked,
    SessionStore,
)

port, threads, operations, users = map(int, sys.argv[1:5])
settings = RedisSettings.load(
    url=f"redis://127.0.0.1:{port}",
    connect_timeout=20,
    read_timeout=20,
    pool_timeout=20,
    max_connections=32,
    _env_file=None,
)
store = SessionStore(RedisClient.connect(settings, db=0))
sql = RedisClient.connect(settings, db=9)

lock = threading.Lock()
shared: dict[str, Session] = {}  # any thread may use any of them, as browsers' tabs do
counted: Counter[str] = Counter()  # successful saves by the chain of ids a session has had
chain_of: dict[str, str] = {}
ended: list[str] = []
faults: list[str] = []


def pick() -> Session | None:
    with lock:
        return random.choice(list(shared.values())) if shared else None


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
        chain_of[session.session_id] = session.session_id


def save(_: int) -> None:
    picked = pick()
    loaded = store.load(picked.session_id) if picked else None
    if loaded is None:
        return
    try:
        store.save(loaded.with_data(n=loaded.user_data["n"] + 1))
    except (SessionChanged, SessionGone):
        return
    with lock:
        counted[chain_of[loaded.session_id]] += 1


def rotate(_: int) -> None:
    picked = pick()
    loaded = store.load(picked.session_id) if picked else None
    if loaded is None:
        return
    with lock:
        # The new id is known to others only after this; so is what it continues.
        try:
            new = store.rotate(loaded)
        except (SessionChanged, SessionGone, SessionRevoked):
            return
        chain_of[new.session_id] = chain_of[loaded.session_id]
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
        faults.append("a session lived after its logout")


def revoke_all(user: int) -> None:
    before = {session.session_id for session in store.list(user)}
    epoch = int(sql.execute("INCR", f"epoch:{user}"))
    store.revoke_all(user, auth_epoch=epoch)
    if any(store.load(session_id) for session_id in before):
        faults.append("a session lived after a revoke_all that followed it")


def mix(seed: int) -> None:
    chance = random.Random(seed)
    acts = [login, save, rotate, logout, revoke_all]
    for _ in range(operations):
        act = chance.choices(acts, [30, 40, 15, 10, 5])[0]
        try:
            act(chance.randrange(users))
        except Exception as error:  # noqa: BLE001  reported: the test fails
            faults.append(repr(error))


workers = [threading.Thread(target=mix, args=(seed,)) for seed in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()

for session_id, chain in chain_of.items():
    alive = store.load(session_id)
    if alive is not None and alive.user_data["n"] != counted[chain]:
        faults.append(f"{counted[chain]} saves were acknowledged, {alive.user_data['n']} are there")
print(json.dumps({"faults": faults, "ended": ended, "sessions": list(chain_of)}))
