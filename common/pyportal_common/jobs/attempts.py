"""Attempts at a job that calls another system, as operators see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """An attempt. `answer` is what the other side said, without the body of its response."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    answer: str | None
    reason: str | None


AttemptsOf = Callable[[int], Sequence[DeliveryAttempt]]
"""The latest attempts at the job with an id, the oldest first; at most a hundred."""
