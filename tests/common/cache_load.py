"""A process whose threads all want one key that is not cached; run by test_cache_loading.py.

Arguments: the port of a Redis server, threads. Counts its loads in the key `loads`. Starts when the
key `go` appears.
"""

import sys
import threading
import time

from common.pyportal_common.cache_handlers import Cache, Policy, RedisClient, RedisSettings

port, threads = map(int, sys.argv[1:3])
settings = RedisSettings.load(
    url=f"redis://127.0.0.1:{port}",
    connect_timeout=20,
    read_timeout=20,
    pool_timeout=20,
    max_connections=threads,
    _env_file=None,
)
client = RedisClient.connect(settings, db=0)
cache = Cache(client)
got: list[object] = []


def load() -> dict[str, int]:
    client.execute("INCR", "loads")
    time.sleep(0.3)
    return {"value": 7}


def read() -> None:
    got.append(cache.get_or_load("cold", load, Policy(ttl=60, wait=20)))


client.execute("INCR", "ready")
while client.get("go") is None:
    time.sleep(0.01)
readers = [threading.Thread(target=read) for _ in range(threads)]
for reader in readers:
    reader.start()
for reader in readers:
    reader.join()
sys.exit(0 if got == [{"value": 7}] * threads else 1)
