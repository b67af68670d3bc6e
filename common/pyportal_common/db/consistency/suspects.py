"""Values that differed from SQL: which of them are stale, and what to report."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from ...cache_handlers import AuditOutcome, KeyEvent, RedisClient, RedisLayerError, keys
from .comparer import Comparer, Difference

logger = logging.getLogger(__name__)

_MAX_SUSPECTS = 20
_FOLLOWED_EVERY = 5.0  # seconds between looks at a stale value
_MAX_EVENTS = 20  # of a key in the log


@dataclass(slots=True)
class _Suspect:
    difference: Difference
    events: list[KeyEvent]
    due_at: float
    is_stale: bool = False


class Suspects:
    """Looks at each difference again `after_seconds`, and at a stale value until it is gone."""

    def __init__(
        self,
        client: RedisClient,
        comparer: Comparer,
        *,
        after_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._comparer = comparer
        self._after_seconds = after_seconds
        self._clock = clock
        self._suspects: dict[str, _Suspect] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._suspects

    @property
    def is_full(self) -> bool:
        """Whether no further difference can be followed."""
        return len(self._suspects) >= _MAX_SUSPECTS

    def add(self, difference: Difference) -> None:
        """Follow a difference from now on. What this process did with its key is kept."""
        events = self._client.key_events.of(difference.value.names)
        due_at = difference.seen_at + self._after_seconds
        self._suspects[difference.value.key] = _Suspect(difference, events, due_at)

    def check_next(self) -> None:
        """Look at one that is due, if any. Raises as the comparer does."""
        now = self._clock()
        due = [each for each in self._suspects.values() if each.due_at <= now]
        if not due:
            return
        suspect = min(due, key=lambda each: each.due_at)
        suspect.due_at = now + _FOLLOWED_EVERY
        try:
            self._judge(suspect, self._comparer.confirm(suspect.difference))
        except (RedisLayerError, SQLAlchemyError):
            raise  # it is looked at again after the outage
        except Exception:
            self._judge(suspect, "failed")  # or it would stop all samples
            raise
        finally:
            self._measure(suspect.difference.value.kind.name)

    def _judge(self, suspect: _Suspect, outcome: AuditOutcome) -> None:
        value = suspect.difference.value
        if outcome == "stale":
            if not suspect.is_stale:
                suspect.is_stale = True
                self._client.observer.audit(value.kind.name, "stale")
                self._report(suspect)
            return
        del self._suspects[value.key]
        if suspect.is_stale:
            logger.warning(
                "The stale value in Redis of %s, key %s, is gone",
                value.kind.name,
                keys.digest_of(value.key),
            )
        else:
            unclear: AuditOutcome = "failed" if outcome == "failed" else "changing"
            self._client.observer.audit(value.kind.name, unclear)

    def _report(self, suspect: _Suspect) -> None:
        value = suspect.difference.value
        events = {*suspect.events, *self._client.key_events.of(value.names)}
        logger.error(
            "Redis holds a stale value of %s, key %s: SQL has had another one for %.1f s or longer,"
            " and no invalidation is pending. What this process did with it: %s",
            value.kind.name,
            keys.digest_of(value.key),
            self._clock() - suspect.difference.seen_at,
            ", ".join(map(_shown, sorted(events)[-_MAX_EVENTS:])) or "nothing lately",
        )

    def _measure(self, kind: str) -> None:
        ages = defaultdict(list)
        for each in self._suspects.values():
            if each.is_stale:
                ages[each.difference.value.kind.name].append(
                    self._clock() - each.difference.seen_at
                )
        self._client.observer.staleness(kind, max(ages[kind], default=0.0))


def _shown(event: KeyEvent) -> str:
    return f"{datetime.fromtimestamp(event.at, UTC):%H:%M:%S.%f}Z {event.event}"
