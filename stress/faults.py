"""What goes wrong in a run: Redis hangs and dies, and so do processes, at moments of chance."""

import random
import shutil
import time
from collections import deque
from pathlib import Path

from common.pyportal_common.embedded import RedisServer

from .journal import Journal, now
from .processes import Processes

_COPY_EVERY = 4.0  # seconds
_COPIES = 2
_TURN = 0.1  # seconds


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
        self._kinds = {
            self._hang: 2,
            self._restart: 1,
            self._outage: 1,
            self._forget: 3,
            self._kill_writer: 5,
            self._kill_reader: 1,
        }

    def inject(self, until: float) -> None:
        """Until then, with pauses that are sometimes long enough for everything to recover."""
        while time.monotonic() < until:
            self._copy()
            self._rest(self._chance.choice([0.3, 1.0, 2.0, 4.0]) * self._chance.uniform(0.5, 1))
            kinds, weights = list(self._kinds), list(self._kinds.values())
            self._chance.choices(kinds, weights)[0]()

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

    def _kill_writer(self) -> None:
        self._kill(["writer", "strict", "slow", "mixed"], "writer-killed")

    def _kill_reader(self) -> None:
        self._kill(["reader"], "reader-killed")

    def _kill(self, prefixes: list[str], kind: str) -> None:
        begin = now()
        names = [name for prefix in prefixes for name in self._processes.names(prefix)]
        self._processes.replace(self._chance.choice(names))
        self._note(kind, begin)

    def _note(self, kind: str, begin: int) -> None:
        self._journal.note("fault", kind, begin, now())
