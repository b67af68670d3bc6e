"""What must hold at the end for notifications, deliveries, and what HTTP shows of them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from .state import FINAL, WEBHOOKS, Accepted, Delivery, Row, State


def check(accepted: Iterable[Accepted], state: State) -> list[str]:
    """What is wrong, one sentence each."""
    accepted = list(accepted)
    return [
        *_check_accepted((each for each in accepted if each.kind != "event"), state),
        *_check_rows(state),
        *_check_deliveries(state),
        *_check_http(state),
        *_check_events(accepted, state),
        *_check_event_rows(state),
    ]


def repeated(deliveries: Iterable[Delivery]) -> Counter[str]:
    """How many deliveries of each channel repeat another one."""
    found = Counter[str]()
    for delivery, times in Counter(deliveries).items():
        found[delivery.channel] += times - 1
    return found


def _check_accepted(accepted: Iterable[Accepted], state: State) -> Iterator[str]:
    """Each accepted notification is in SQL, once for its idempotency key."""
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in state.jobs:
        by_key[row.subject].append(row)
    for each in accepted:
        found = [(row.id, row.message_id, row.channel) for row in by_key[each.key]]
        if found != [(each.id, each.message_id, each.kind)]:
            yield f"{each} was accepted, but SQL has {found}"


def _check_rows(state: State) -> Iterator[str]:
    """Every notification is sent, and has arrived. No receiver refuses one for good."""
    arrived = {(delivery.channel, delivery.key) for delivery in state.deliveries}
    for row in state.jobs:
        if row.status not in FINAL:
            yield f"notification {row.id} is {row.status}, after {row.attempts} attempts"
        elif row.status != "sent":
            yield f"notification {row.id} is {row.status}: {row.error}"
        elif (row.channel, row.subject) not in arrived:
            yield f"notification {row.id} is sent, but has not arrived"


def _check_deliveries(state: State) -> Iterator[str]:
    """All deliveries of a notification have its message id."""
    ids = {(row.channel, row.subject): row.message_id for row in state.jobs}
    ids |= {
        (f"event/{number}", event.key): event.id
        for event in state.events
        for number in range(WEBHOOKS)
    }
    for delivery in sorted(set(state.deliveries), key=lambda delivery: delivery.key):
        expected = ids.get((delivery.channel, delivery.key))
        if expected is None:
            yield f"{delivery} has arrived, but was not requested"
        elif expected != delivery.message_id:
            yield f"{delivery} has arrived, but its message id is {expected}"


def _check_events(accepted: Iterable[Accepted], state: State) -> Iterator[str]:
    """Every event is in SQL once, and has arrived at every webhook."""
    ids = defaultdict(list)
    for event in state.events:
        ids[event.key].append(event.id)
    for each in accepted:
        if each.kind == "event" and ids[each.key] != [each.message_id]:
            yield f"{each} was accepted, but SQL has {ids[each.key]}"
    arrived = {(each.channel, each.message_id) for each in state.deliveries}
    for event in state.events:
        for number in range(WEBHOOKS):
            if (f"event/{number}", event.id) not in arrived:
                yield f"{event.id} has not arrived at webhook {number}"


def _check_event_rows(state: State) -> Iterator[str]:
    """Every delivery of an event is sent, and each webhook numbers them without gaps."""
    numbers = defaultdict(list)
    for row in state.event_rows:
        numbers[row.webhook_id].append(row.sequence)
        if row.status != "sent":
            yield f"delivery {row.id} of {row.event_id} is {row.status}: {row.error}"
    for webhook_id, found in numbers.items():
        if sorted(found) != [*range(1, len(state.events) + 1)]:
            yield f"the events of webhook {webhook_id} have the numbers {sorted(found)}"


def _check_http(state: State) -> Iterator[str]:
    """HTTP shows what SQL has of a status, from the cache or not."""
    for row in state.jobs:
        shown = state.shown.get(row.id) or {}
        if (shown.get("status"), shown.get("attempts")) != (row.status, row.attempts):
            yield f"notification {row.id} is {row.status}, but is shown as {shown}"
