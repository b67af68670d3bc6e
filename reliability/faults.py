"""Faults from outside, at random moments. For those that processes cause: crash_points.py."""

import random
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings, keys
from common.pyportal_common.redis_server import RedisServer

from .journal import Journal, now
from .processes import Processes

_COPY_EVERY = 4.0  # seconds
_COPIES = 2
_CACHE_DBS = range(3)


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault that can be injected, `weight` times in each deck."""

    kind: str
    inject: Callable[[], None]
    weight: int = 1


class Injector:
    """Injects faults one after another. `pauses` are the seconds between two of them."""

    def __init__(
        self,
        processes: Processes,
        journal: Journal,
        rng: random.Random,
        *,
        pauses: Sequence[float],
    ) -> None:
        self._processes = processes
        self._journal = journal
        self._random = rng
        self._pauses = pauses

    def inject(self, injections: Sequence[Injection], goes_on: Callable[[], bool]) -> None:
        """Inject faults while it goes on, in random order, but none is left out for long."""
        deck: list[Injection] = []
        while goes_on():
            self._prepare()
            self._processes.sleep(self._random.choice(self._pauses) * self._random.uniform(0.5, 1))
            if not deck:
                deck = [each for each in injections for _ in range(each.weight)]
                self._random.shuffle(deck)
            injection, begin = deck.pop(), now()
            injection.inject()
            self._journal.fault(injection.kind, begin)

    def _prepare(self) -> None:
        """Called before each fault."""

    def _sleep(self, shortest: float, longest: float) -> None:
        self._processes.sleep(self._random.uniform(shortest, longest))


class Faults(Injector):
    """The faults of a Redis server, and of processes."""

    def __init__(
        self,
        redis: RedisServer,
        processes: Processes,
        journal: Journal,
        rng: random.Random,
        *,
        pauses: Sequence[float],
    ) -> None:
        super().__init__(processes, journal, rng, pauses=pauses)
        self._redis = redis
        self._copies: deque[Path] = deque()
        self._copied_at = 0.0

    def hang_redis(self) -> None:
        """Pause Redis: it accepts connections and answers nothing."""
        self._redis.pause()
        self._sleep(0.2, 3)
        self._redis.resume()

    def restart_redis(self) -> None:
        """Kill Redis, and start it at once."""
        self._redis.kill()
        self._redis.start()

    def stop_redis(self) -> None:
        """Kill Redis, and start it after a while."""
        self._redis.kill()
        self._sleep(0.5, 3)
        self._redis.start()

    def lose_redis_writes(self) -> None:
        """Kill Redis, and start it from a copy of its data that is some seconds old."""
        self._redis.kill()
        shutil.rmtree(self._redis.directory)
        shutil.copytree(self._random.choice(self._copies), self._redis.directory)
        self._redis.start()

    def delete_hints(self) -> None:
        """Delete the hints that jobs are due."""
        settings = RedisSettings.load(url=self._redis.url, _env_file=None)
        for db in _CACHE_DBS:
            client = RedisClient.connect(settings, db=db)
            client.delete(*client.scan(keys.job_hint("*")))
            client.close()

    def kill(self, *prefixes: str) -> None:
        """Kill a process of one of these roles."""
        self._processes.kill(self._pick(prefixes))

    def pause(self, *prefixes: str, shortest: float, longest: float) -> None:
        """Pause a process of one of these roles for so many seconds."""
        self._processes.pause(self._pick(prefixes), self._random.uniform(shortest, longest))

    def _pick(self, prefixes: Sequence[str]) -> str:
        return self._random.choice(self._processes.roles(*prefixes))

    def _prepare(self) -> None:
        """Keep the data that Redis has on disk now, and some seconds ago."""
        if time.monotonic() - self._copied_at < _COPY_EVERY:
            return
        self._copied_at = time.monotonic()
        copy = self._redis.directory.with_name(f"copy{now()}")
        shutil.copytree(self._redis.directory, copy)
        self._copies.append(copy)
        if len(self._copies) > _COPIES:
            shutil.rmtree(self._copies.popleft())
