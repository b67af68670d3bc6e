"""A process whose threads change rows, invalidate their tags and read them; run by test_tags.py.

Arguments: the port of a Redis server, the number of threads, how often each reads. The rows are
counters in Redis under other keys, so that a write and its order are known to all processes. Exits
with 1 if a read returned less than the row was before it, at the answer of some invalidation.
"""

import random
import sys
import time
from functools import partial

from common.pyportal_common.cache_handlers import Cache, Observer, Policy

from .load import await_start, connect, run_threads

ROWS = 3
VALUES_OF_A_ROW = 4
POLICY = Policy(ttl=60, stale_for=30, beta=0, jitter=0)

port, threads, rounds = map(int, sys.argv[1:4])
client = connect(port, connections=threads)
rows = connect(port, db=1, connections=2 * threads)
cache = Cache(client)
old: list[tuple[int, int]] = []
hits: list[None] = []


class Hits(Observer):
    """Counts hits."""

    def cache(self, _: str, event: str) -> None:
        if event == "hit":
            hits.append(None)


def answered(row: int) -> int:
    """The newest version of a row whose writer was answered."""
    return int(rows.get(f"answered:{row}") or 0)


def load(row: int) -> int:
    version = int(rows.get(f"row:{row}") or 0)
    time.sleep(random.choice([0, 0, 0.005]))
    return version


def write(row: int) -> None:
    version = rows.execute("INCR", f"row:{row}")
    cache.invalidate_tag(f"row:{row}")
    rows.execute("EVAL", _RAISE, 1, f"answered:{row}", version)


_RAISE = """
if tonumber(ARGV[1]) > tonumber(redis.call('GET', KEYS[1]) or 0) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', 60)
end
"""


def work() -> None:
    chance = random.Random()
    for _ in range(rounds):
        row = chance.randrange(ROWS)
        if chance.random() < 0.1:
            write(row)
        key = f"value:{row}/{chance.randrange(VALUES_OF_A_ROW)}"
        if chance.random() < 0.1:
            client.expire(key, 20)  # it is stale
        least = answered(row)
        found = cache.get_or_load(key, partial(load, row), POLICY, tags=["all", f"row:{row}"])
        if found < least:
            old.append((found, least))


client.observe(Hits())
await_start(client)
run_threads([work] * threads)
client.execute("INCRBY", "hits", len(hits))
print(old)
sys.exit(1 if old else 0)
