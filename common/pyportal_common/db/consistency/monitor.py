"""The consistency monitor: compares some cached values with SQL all the time."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from ...cache_handlers import Cache, RedisLayerError, SendCommand, StoredValues
from ..invalidations import Invalidations
from .comparer import Comparer, Difference
from .kinds import CacheKind, CacheKinds
from .samples import Samples
from .suspects import Suspects

logger = logging.getLogger(__name__)

_PAUSE_AFTER_ERROR = 10  # samples


class CacheMonitor:
    """Compares one value every `every_seconds`, over all processes, while cached values are used.

    A process that does not use cached values, or cannot because Redis or SQL is down, takes no
    sample: it has no trust in Redis then (see Trust). The monitor only reads. It counts what it
    finds and logs values that are stale; they stay as they are.
    """

    def __init__(
        self,
        cache: Cache,
        invalidations: Invalidations,
        kinds: Sequence[CacheKind],
        *,
        every_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = cache.client
        self._trust = invalidations.trust
        self._every_seconds = every_seconds
        self._stored = StoredValues(cache.client)
        records = invalidations.records
        self._comparer = Comparer(self._stored, records, clock=clock)
        self._samples = Samples(self._stored, records, CacheKinds(kinds), clock=clock)
        self._suspects = Suspects(
            cache.client, self._comparer, after_seconds=self._trust.seconds, clock=clock
        )
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def start(self) -> None:
        """Run in a thread from the first connection to Redis on."""
        self._client.on_connect(self._ensure_thread)

    def close(self) -> None:
        """Stop the thread."""
        self._closing.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join()

    def sample(self) -> None:
        """Compare one value if it is time, and look again at what differed before.

        Raises RedisLayerError and SQLAlchemyError, and what the load of the value raises.
        """
        self._suspects.check_next()
        if not self._trust.is_held or self._suspects.is_full:
            return
        if not self._stored.take_turn(self._every_seconds):
            return
        value = self._samples.next()
        if value is None or value.key in self._suspects:
            return
        try:
            found = self._comparer.compare(value)
        except Exception:
            self._client.observer.audit(value.kind.name, "failed")
            raise
        if isinstance(found, Difference):
            self._suspects.add(found)
        else:
            self._client.observer.audit(value.kind.name, found)

    def _ensure_thread(self, _: SendCommand) -> None:
        if self._pid != os.getpid():  # a fork does not copy the thread
            self._lock, self._thread, self._pid = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="cache-monitor", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = self._every_seconds
        while not self._closing.wait(pause):
            pause = self._every_seconds
            try:
                self.sample()
            except (RedisLayerError, SQLAlchemyError) as error:  # others log the outage
                pause = _PAUSE_AFTER_ERROR * self._every_seconds
                logger.debug("No cached value was compared with SQL: %s", error)
            except Exception:
                pause = _PAUSE_AFTER_ERROR * self._every_seconds
                logger.exception("A cached value could not be compared with SQL")
