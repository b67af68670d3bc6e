"""What goes wrong in a run: Redis hangs and dies, and so do processes, at moments of chance."""

import random
import shutil
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from common.pyportal_common.redis_server import RedisServer

from .journal import Journal, now
from .processes import Processes

_COPY_EVERY = 4.0  # seconds
_COPIES = 2
_TURN = 0.1  # seconds
_WRITERS = ("writer", "strict", "slow", "mixed")


class Faults:
    """One after the other, from one thread."""

    def __init__(
        self, redis: RedisServer, processes: Processes, journal: Journal, chance: random.Random
    ) -> None:
        self._redis = redis
        self._processes = processes
        self._journal = journal
        self._chance = chance
        self._copies: deque[Path] = deque()
        self._copied_at = 0.0
        self._deck: list[Callable[[], None]] = []

    def inject(self, until: float) -> None:
        """Until then, with pauses that are sometimes long enough for everything to recover."""
        while time.monotonic() < until:
            self._copy()
            self._rest(self._chance.choice([0.3, 1.0, 2.0, 4.0]) * self._chance.uniform(0.5, 1))
            self._deal()()

    def _deal(self) -> Callable[[], None]:
        """The next fault: in any order, but none is left out for long."""
        if not self._deck:
            redis = [self._forget] * 3 + [self._hang] * 2 + [self._restart, self._outage]
            others = [self._stop] * 2 + [self._kill_writer] * 2 + [self._kill_reader]
            self._deck = [*redis, *others]
            self._chance.shuffle(self._deck)
        return self._deck.pop()

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(_TURN)
            self._processes.replace_the_dead()

    def _copy(self) -> None:
        """Keep what Redis has on the disk now, and what it had some seconds ago."""
        if time.monotonic() - self._copied_at < _COPY_EVERY:
            return
        self._copied_at = time.monotonic()
        copy = self._redis.directory.with_name(f"copy{now()}")
        shutil.copytree(self._redis.directory, copy)
        self._copies.append(copy)
        if len(self._copies) > _COPIES:
            shutil.rmtree(self._copies.popleft())

    def _hang(self) -> None:
        begin = now()
        self._redis.pause()
        time.sleep(self._chance.uniform(0.2, 3))
        self._redis.resume()
        self._note("redis-hangs", begin)

    def _restart(self) -> None:
        begin = now()
        self._redis.kill()
        self._redis.start()
        self._note("redis-killed", begin)

    def _outage(self) -> None:
        begin = now()
        self._redis.kill()
        time.sleep(self._chance.uniform(1, 3))
        self._redis.start()
        self._note("redis-killed:away", begin)

    def _forget(self) -> None:
        begin = now()
        self._redis.kill()
        shutil.rmtree(self._redis.directory)
        shutil.copytree(self._chance.choice(self._copies), self._redis.directory)
        self._redis.start()
        self._note("redis-killed:forgets", begin)

    def _stop(self) -> None:
        begin = now()
        name = self._pick("reader", *_WRITERS)
        self._processes.stop(name)
        time.sleep(self._chance.uniform(0.2, 3))
        self._processes.go_on(name)
        self._note("process-hangs", begin)

    def _kill_writer(self) -> None:
        begin = now()
        self._processes.replace(self._pick(*_WRITERS))
        self._note("writer-killed", begin)

    def _kill_reader(self) -> None:
        begin = now()
        self._processes.replace(self._pick("reader"))
        self._note("reader-killed", begin)

    def _pick(self, *prefixes: str) -> str:
        names = [name for prefix in prefixes for name in self._processes.names(prefix)]
        return self._chance.choice(names)

    def _note(self, kind: str, begin: int) -> None:
        self._journal.note("fault", kind, begin, now())
