"""A process whose threads all read one key that is not cached; run by test_cache_loading.py.

Arguments: the port of a Redis server, the number of threads. Counts its loads in the key `loads`.
"""

import sys
import time

from common.pyportal_common.cache_handlers import Cache, Policy

from .load import await_start, connect, run_threads

port, threads = map(int, sys.argv[1:3])
client = connect(port, connections=threads)
cache = Cache(client)
values: list[object] = []


def load() -> dict[str, int]:
    client.execute("INCR", "loads")
    time.sleep(0.3)
    return {"value": 7}


def read() -> None:
    values.append(cache.get_or_load("cold", load, Policy(ttl=60, wait=20)))


await_start(client)
run_threads([read] * threads)
sys.exit(0 if values == [{"value": 7}] * threads else 1)
