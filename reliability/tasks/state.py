"""What there is in the end: as clients were told, as SQL has it, and as HTTP shows it."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import JSON, Engine, column, select, table

_TASKS = table(
    "tasks",
    *(column(name) for name in ("id", "user_id", "idempotency_key", "task_type", "status")),
    *(column(name) for name in ("attempts", "error", "progress")),
    column("parameters", JSON),
    column("details", JSON),
)
_FLIGHTS = table("flights", column("id"), column("total_seats"), column("available_seats"))
_BOOKINGS = table(
    "bookings",
    *(column(name) for name in ("task_id", "flight_id", "user_id", "seats", "cancelled_at")),
)

FINAL = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A task that a client was told is taken on."""

    task_id: int
    user_id: int
    key: str
    kind: str
    parameters: dict[str, Any]

    @property
    def digest(self) -> str:
        """The key as SQL has it."""
        return hashlib.sha256(self.key.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Task:
    """A row."""

    id: int
    user_id: int
    idempotency_key: str
    task_type: str
    status: str
    attempts: int
    error: str | None
    progress: int
    parameters: dict[str, Any]
    details: dict[str, Any]


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
    """All of it. What HTTP shows is by id: a task as JSON, the seats that are left on a flight."""

    tasks: list[Task]
    flights: list[Flight]
    bookings: list[Booking]
    shown_tasks: dict[int, Any] = field(default_factory=dict)
    shown_seats: dict[int, Any] = field(default_factory=dict)


def read_state(engine: Engine) -> State:
    """As SQL has it, in one transaction. HTTP has yet to be asked."""
    with engine.connect() as connection:
        return State(
            tasks=[Task(*row) for row in connection.execute(select(_TASKS).order_by(_TASKS.c.id))],
            flights=[Flight(*row) for row in connection.execute(select(_FLIGHTS))],
            bookings=[Booking(*row) for row in connection.execute(select(_BOOKINGS))],
        )


def unfinished(engine: Engine) -> int:
    """How many tasks there are yet to be done."""
    with engine.connect() as connection:
        statuses = connection.scalars(select(_TASKS.c.status))
        return sum(status not in FINAL for status in statuses)
