"""The notifications at the end: as clients, SQL, the receivers and HTTP know them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..journal import Journal, read_lines

WEBHOOKS = 2  # that subscribe to the events
FINAL = frozenset({"sent", "failed", "suppressed"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """A notification or an event that was accepted, as its client knows it."""

    key: str
    kind: str  # the channel, or "event", which has no further id
    id: int
    message_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What arrived. The key is the client's: the subject, or the name in an event.

    The channel of an event is the path of the webhook, event/0 or event/1.
    """

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


@dataclass(frozen=True, slots=True)
class Event:
    """An event in SQL. The name in its data is the client's key."""

    id: str
    data: dict[str, Any]

    @property
    def key(self) -> str:
        """The client's key."""
        return str(self.data["username"])


@dataclass(frozen=True, slots=True)
class EventRow:
    """The delivery of an event to a webhook in SQL."""

    id: int
    event_id: str
    webhook_id: int
    sequence: int
    status: str
    attempts: int
    error: str | None


@dataclass
class State:
    """What SQL has, what arrived, and what HTTP shows of each status, by id."""

    jobs: list[Row]
    deliveries: list[Delivery]
    shown: dict[int, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    event_rows: list[EventRow] = field(default_factory=list)


def read_deliveries(folder: Path) -> list[Delivery]:
    """What arrived."""
    found = (words for _, words in read_lines(folder) if words[0] == "delivered")
    return [Delivery(*words[1:]) for words in found]
