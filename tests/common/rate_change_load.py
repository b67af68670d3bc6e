"""A process that hits a limit from many threads while its rate changes.

Arguments: the port of a Redis server, threads, the first rate. It takes over the rate in the key
`rate`, and adds itself to the set `have:` and the rate when no thread uses the former one any more.
It ends when the key `stop` exists, prints how many hits were admitted, and records them in Redis.
"""

import os
import sys
import threading
import time

from common.pyportal_common.cache_handlers import Charge, Limiter, Overrides, RateLimit

from .limit_states import recording
from .load import await_start, connect, run_threads

port, threads = map(int, sys.argv[1:3])
declared = RateLimit("load", 1, 1).parse(sys.argv[3])

client = connect(port, connections=threads + 1)
limiter = Limiter(client)
limiter.script = recording(limiter.script)
overrides: Overrides = {}
limiter.follow(lambda: overrides)
hits, admitted = [0] * threads, [0] * threads
stop = threading.Event()


def hit_repeatedly(thread: int) -> None:
    while not stop.is_set():
        admitted[thread] += limiter.hit(Charge(declared, "everybody")).allowed
        hits[thread] += 1


def take_over_rates() -> None:
    global overrides
    rate = declared.rate
    while client.get("stop") is None:
        found = client.get("rate")
        if found != rate and found is not None:
            rate = found
            overrides = {("load", ""): declared.parse(rate)}
            before = hits.copy()
            while any(now < then + 2 for now, then in zip(hits, before, strict=True)):
                time.sleep(0.001)
            client.execute("SADD", f"have:{rate}", os.getpid())
        time.sleep(0.001 * (os.getpid() % 50))
    stop.set()


await_start(client)
run_threads([*(lambda i=i: hit_repeatedly(i) for i in range(threads)), take_over_rates])
print(sum(admitted))
