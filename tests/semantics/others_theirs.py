"""dogpile.cache, used as its documents describe it."""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call"

import os
import threading
from contextlib import suppress

from dogpile.cache import make_region
from redis import Redis

_URL = os.environ["REDIS_URL"]


def _region(**arguments):
    return make_region().configure(
        "dogpile.cache.redis", expiration_time=300, arguments={"url": _URL, **arguments}
    )


def an_invalidation_during_a_load_holds():
    prices = {7: "the old price"}
    read, changed = threading.Event(), threading.Event()

    @_region(distributed_lock=True).cache_on_arguments()
    def price_of(product):
        price = prices[product]
        read.set()
        changed.wait(10)
        return price

    reader = threading.Thread(target=price_of, args=(7,))
    reader.start()
    read.wait(10)
    prices[7] = "the new price"
    price_of.invalidate(7)
    changed.set()
    reader.join()
    return price_of(7)


def processes_that_miss_together_load_once():
    return _loads_of([_region(), _region()])


def _loads_of(regions):
    """How often regions, as those of several processes, load a value that all of them miss."""
    loads, begun = [], threading.Barrier(len(regions))

    def load():
        loads.append(1)
        with suppress(threading.BrokenBarrierError):  # if only one loads
            begun.wait(1)
        return "value"

    threads = [
        threading.Thread(target=region.get_or_create, args=("key", load)) for region in regions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(loads)


def every_key_expires():
    _region().set("key", "value")
    with Redis.from_url(_URL) as redis:
        return redis.ttl("key") > 0
