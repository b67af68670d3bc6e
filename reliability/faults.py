"""What goes wrong from outside, at moments of chance. What processes do to themselves: points.py"""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings
from common.pyportal_common.redis_server import RedisServer

from .processes import Processes
from .setting import LEASE_SECONDS

QUEUE_DB = 3


class Faults:
    """One after the other, from one thread."""

    def __init__(
        self,
        redis: RedisServer,
        processes: Processes,
        chance: random.Random,
        *,
        more: Sequence[Callable[[], str]] = (),
    ) -> None:
        self.counts = Counter[str]()
        self._redis = redis
        self._processes = processes
        self._chance = chance
        self._more = more
        self._deck: list[Callable[[], str]] = []

    def inject(self, until: float) -> None:
        """Until then, with pauses that are sometimes long enough for everything to recover."""
        while time.monotonic() < until:
            time.sleep(self._chance.choice([0.2, 0.5, 1.0, 2.0]) * self._chance.uniform(0.5, 1))
            self.counts[self._deal()()] += 1

    def _deal(self) -> Callable[[], str]:
        """The next fault: in any order, but none is left out for long."""
        if not self._deck:
            workers = [self._kill_worker] * 2 + [self._stop_worker] * 2
            self._deck = [*workers, self._kill_redis, self._lose_redis, self._hang, self._flush]
            self._deck += self._more
            self._chance.shuffle(self._deck)
        return self._deck.pop()

    def _kill_worker(self) -> str:
        self._processes.kill(self._one())
        return "worker-killed"

    def _stop_worker(self) -> str:
        """For longer than its lease."""
        name = self._one()
        pid = self._processes.stop(name)
        time.sleep(LEASE_SECONDS * self._chance.uniform(1.2, 2))
        self._processes.go_on(name, pid)
        return "worker-hangs"

    def _kill_redis(self) -> str:
        self._redis.kill()
        self._redis.start()
        return "redis-killed"

    def _lose_redis(self) -> str:
        self._redis.kill()
        time.sleep(self._chance.uniform(0.5, 2))
        self._redis.start()
        return "redis-killed:away"

    def _hang(self) -> str:
        self._redis.pause()
        time.sleep(self._chance.uniform(0.2, 2))
        self._redis.resume()
        return "redis-hangs"

    def _flush(self) -> str:
        settings = RedisSettings.load(url=self._redis.url, _env_file=None)
        client = RedisClient.connect(settings, db=QUEUE_DB)
        client.execute("FLUSHDB")
        client.close()
        return "queue-flushed"

    def _one(self) -> str:
        return self._chance.choice(["worker0", "worker1"])
