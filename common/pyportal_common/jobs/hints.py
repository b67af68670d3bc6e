"""Hints in Redis that jobs are due. Nothing depends on them: workers also look every second."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from ..cache_handlers import (
    RedisClient,
    RedisLayerError,
    RedisSettings,
    Script,
    blocking_client,
    get_redis_client,
    keys,
)

logger = logging.getLogger(__name__)

_SCRIPT = Script.load(__package__, "hint")
_TTL_MS = 60_000
_BLOCK_SECONDS = 5  # of a worker's command, which waits for a hint
_PAUSE_SECONDS = 1.0  # after an error


class Hints:
    """The hints in one Redis database: for each kind of job one sorted set with one member.

    Every worker waits for it, and the first one removes it. If that one is busy, it looks when a
    thread of its own is idle, and others within a second.
    """

    def __init__(self, client: RedisClient | None, settings: RedisSettings | None, db: int) -> None:
        self._client = client
        self._settings = settings
        self._db = db
        self._wakes: dict[str, Callable[[], None]] = {}
        self._closing = threading.Event()

    @classmethod
    def at(cls, settings: RedisSettings, db: int) -> "Hints":
        """The hints of this database. Connects when they are first used."""
        return cls(get_redis_client(db, settings=settings), settings, db)

    def send(self, kind: str) -> None:
        """Wake one worker, which may be busy, in one round trip. Without Redis nothing happens."""
        if self._client is None:
            return
        try:
            self._client.run(_SCRIPT, [keys.job_hint(kind)], [_TTL_MS])
        except RedisLayerError as error:
            logger.debug("No worker was woken: %s", error)
        except Exception:  # the row is committed, so the caller must not fail
            logger.exception("No worker was woken")

    def on(self, kind: str, wake: Callable[[], None]) -> None:
        """Have `listen` call `wake` for each hint that jobs of a kind are due."""
        if self._client is not None:
            self._wakes[keys.job_hint(kind)] = wake

    def listen(self) -> None:
        """Wait for hints, in a thread, until `close`."""
        if self._wakes:
            threading.Thread(target=self._listen, name="job-hints", daemon=True).start()

    def close(self) -> None:
        """Ignore further hints."""
        self._closing.set()

    def _listen(self) -> None:
        assert self._client is not None and self._settings is not None  # noqa: S101, PT018
        # A connection of its own, whose reads may take as long as the command waits.
        timeout = self._settings.read_timeout + _BLOCK_SECONDS
        patient = self._settings.model_copy(update={"read_timeout": timeout})
        waiting: Any = blocking_client(patient, self._db)

        def take() -> Any:
            return waiting.execute_command("BZPOPMIN", *self._wakes, _BLOCK_SECONDS)

        while not self._closing.is_set():
            try:
                found = self._client.guard(take)
            except RedisLayerError as error:
                logger.debug("No hints: %s", error)
                self._closing.wait(_PAUSE_SECONDS)
                continue
            if found is not None and not self._closing.is_set():
                self._wakes[found[0].decode()]()


NO_HINTS = Hints(None, None, 0)
"""No Redis: workers look into SQL once a second."""
