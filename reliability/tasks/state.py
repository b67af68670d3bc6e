"""The tasks and bookings at the end: as clients, SQL and HTTP know them."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from ..rows import read_rows

FINAL = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A task that was accepted, as its client knows it."""

    task_id: int
    user_id: int
    key: str
    kind: str
    parameters: dict[str, Any]

    @property
    def digest(self) -> str:
        """The idempotency key as SQL has it."""
        return hashlib.sha256(self.key.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Task:
    """A row."""

    id: int
    user_id: int
    task_type: str
    status: str
    attempts: int
    error: str | None
    progress: int
    parameters: dict[str, Any]
    details: dict[str, Any]

    @property
    def ending(self) -> str:
        """How the task ended, without the numbers in its error: for counting."""
        error = "" if self.error is None else f": {re.sub('[0-9]+', 'n', self.error)}"
        return f"{self.task_type} {self.status}{error}"


@dataclass(frozen=True, slots=True)
class Key:
    """A row: an idempotency key, and the location in the response to it."""

    key_digest: str
    user_id: int
    location: str

    @property
    def task_id(self) -> int:
        """The task that was created with it."""
        return int(self.location.rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class Flight:
    """A row."""

    id: int
    total_seats: int
    available_seats: int


@dataclass(frozen=True, slots=True)
class Booking:
    """A row."""

    task_id: int
    flight_id: int
    user_id: int
    seats: int
    cancelled_at: Any


@dataclass
class State:
    """What SQL has, and what HTTP shows by id: a task as JSON, the seats left on a flight."""

    jobs: list[Task]
    keys: list[Key]
    flights: list[Flight]
    bookings: list[Booking]
    shown_tasks: dict[int, Any] = field(default_factory=dict)
    shown_seats: dict[int, Any] = field(default_factory=dict)


def read_state(engine: Engine) -> State:
    """What SQL has, in one transaction."""
    with engine.connect() as connection:
        return State(
            jobs=read_rows(connection, "tasks", Task),
            keys=read_rows(connection, "idempotency_keys", Key),
            flights=read_rows(connection, "flights", Flight),
            bookings=read_rows(connection, "bookings", Booking),
        )
