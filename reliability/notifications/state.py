"""What there is in the end: as clients were told, as SQL has it, as it arrived, and as HTTP shows
it.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, column, select, table

from .arrivals import Arrival

_ROWS = table(
    "notifications",
    *(column(name) for name in ("id", "message_id", "channel", "subject", "status")),
    *(column(name) for name in ("attempts", "error")),
)

FINAL = frozenset({"sent", "failed", "suppressed"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A notification that a client was told is taken on."""

    key: str
    channel: str
    id: int
    message_id: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row. Its subject is the key of who wanted it."""

    id: int
    message_id: str
    channel: str
    key: str
    status: str
    attempts: int
    error: str | None


@dataclass
class State:
    """All of it. What HTTP shows of a status is by id."""

    rows: list[Row]
    arrivals: list[Arrival]
    shown: dict[int, Any] = field(default_factory=dict)


def read_rows(engine: Engine) -> list[Row]:
    """As SQL has them."""
    with engine.connect() as connection:
        return [Row(*row) for row in connection.execute(select(_ROWS).order_by(_ROWS.c.id))]


def unfinished(engine: Engine) -> int:
    """How many there are yet to be delivered."""
    with engine.connect() as connection:
        statuses = connection.scalars(select(_ROWS.c.status))
        return sum(status not in FINAL for status in statuses)
