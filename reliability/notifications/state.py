"""The notifications at the end: as clients, SQL, the receivers and HTTP know them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..journal import Journal, read_lines

FINAL = frozenset({"sent", "failed", "suppressed"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A notification that was accepted, as its client knows it."""

    key: str
    kind: str  # the channel
    id: int
    message_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """An e-mail or a webhook that arrived. Its subject is the client's key."""

    channel: str
    key: str
    message_id: str

    def record(self, journal: Journal) -> None:
        """Write it down, before the receiver confirms it."""
        journal.note("delivered", self.channel, self.key, self.message_id)


@dataclass(frozen=True, slots=True)
class Row:
    """A row. Its subject is the client's key."""

    id: int
    message_id: str
    channel: str
    subject: str
    status: str
    attempts: int
    error: str | None

    @property
    def ending(self) -> str:
        """How the notification ended, for counting."""
        return f"{self.channel} {self.status}"


@dataclass
class State:
    """What SQL has, what arrived, and what HTTP shows of each status, by id."""

    jobs: list[Row]
    deliveries: list[Delivery]
    shown: dict[int, Any] = field(default_factory=dict)


def read_deliveries(folder: Path) -> list[Delivery]:
    """What arrived."""
    found = (words for _, words in read_lines(folder) if words[0] == "delivered")
    return [Delivery(*words[1:]) for words in found]
