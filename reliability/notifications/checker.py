"""What must hold in the end, whatever died."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from .arrivals import Arrival
from .state import FINAL, Accepted, Row, State


def check(accepted: Iterable[Accepted], state: State) -> list[str]:
    """What is wrong, a sentence each."""
    return [
        *_of_accepted(accepted, state),
        *_of_rows(state),
        *_of_arrivals(state),
        *_of_http(state),
    ]


def repeated(arrivals: Iterable[Arrival]) -> Counter[str]:
    """How many of each channel arrived once more."""
    times = Counter(arrivals)
    found = Counter[str]()
    for arrival, number in times.items():
        found[arrival.channel] += number - 1
    return found


def _of_accepted(accepted: Iterable[Accepted], state: State) -> Iterator[str]:
    """Who was told that a notification is taken on has one, and not two."""
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in state.rows:
        by_key[row.key].append(row)
    for told in accepted:
        found = [(row.id, row.message_id, row.channel) for row in by_key[told.key]]
        if found != [(told.id, told.message_id, told.channel)]:
            yield f"{told} was accepted, and SQL has {found}"


def _of_rows(state: State) -> Iterator[str]:
    """Every notification has ended. What is sent has arrived, and nobody refused any for good."""
    arrived = {(arrival.channel, arrival.key) for arrival in state.arrivals}
    for row in state.rows:
        if row.status not in FINAL:
            yield f"notification {row.id} is {row.status}, after {row.attempts} attempts"
        elif row.status != "sent":
            yield f"notification {row.id} is {row.status}: {row.error}"
        elif (row.channel, row.key) not in arrived:
            yield f"notification {row.id} is sent, and has not arrived"


def _of_arrivals(state: State) -> Iterator[str]:
    """However often it arrives, a notification has its one id."""
    ids = {(row.channel, row.key): row.message_id for row in state.rows}
    for arrival in sorted(set(state.arrivals), key=lambda arrival: arrival.key):
        wanted = ids.get((arrival.channel, arrival.key))
        if wanted is None:
            yield f"{arrival} has arrived, and nobody wanted it"
        elif wanted != arrival.message_id:
            yield f"{arrival} has arrived, and its id is {wanted}"


def _of_http(state: State) -> Iterator[str]:
    """What HTTP shows of a status, from the cache or not, is what SQL has."""
    for row in state.rows:
        shown = state.shown.get(row.id) or {}
        if (shown.get("status"), shown.get("attempts")) != (row.status, row.attempts):
            yield f"notification {row.id} is {row.status}, and is shown as {shown}"
