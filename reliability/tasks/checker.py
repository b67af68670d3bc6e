"""What must hold at the end for tasks, bookings, seats, and what HTTP shows of them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from .state import FINAL, Accepted, Booking, State, Task

SHOWN = {
    "taskId": "id",
    "userId": "user_id",
    "taskType": "task_type",
    "status": "status",
    "attempts": "attempts",
    "error": "error",
    "progress": "progress",
    "parameters": "parameters",
    "details": "details",
}


def check(accepted: Iterable[Accepted], state: State) -> list[str]:
    """What is wrong, one sentence each."""
    return [
        *_check_accepted(accepted, state),
        *_check_tasks(state),
        *_check_bookings(state),
        *_check_cancellations(state),
        *_check_seats(state),
        *_check_http(state),
    ]


def _check_accepted(accepted: Iterable[Accepted], state: State) -> Iterator[str]:
    """Each accepted task is in SQL, once for its idempotency key."""
    by_key = {(key.user_id, key.key_digest): key.task_id for key in state.keys}
    tasks = {task.id: task for task in state.jobs}
    for each in accepted:
        found, task = by_key.get((each.user_id, each.digest)), tasks.get(each.task_id)
        if found != each.task_id or task is None:
            yield f"task {each.task_id} was accepted for key {each.key}, but SQL has {found}"
        elif (task.task_type, task.parameters) != (each.kind, each.parameters):
            yield f"task {each.task_id} differs from the one accepted for key {each.key}"


def _check_tasks(state: State) -> Iterator[str]:
    """Every task has ended, accepted or not, and has one key."""
    for task in state.jobs:
        if task.status not in FINAL:
            yield f"task {task.id} is {task.status}, after {task.attempts} attempts"
    keys = Counter(key.task_id for key in state.keys)
    for task in state.jobs:
        if keys[task.id] != 1:
            yield f"task {task.id} has {keys[task.id]} keys"


def _completed(state: State, kind: str) -> dict[int, Task]:
    return {
        task.id: task
        for task in state.jobs
        if task.task_type == kind and task.status == "completed"
    }


def _check_bookings(state: State) -> Iterator[str]:
    """Each completed booking task has its booking, and no other task has a booking."""
    tasks = _completed(state, "flight_booking")
    bookings: dict[int, list[Booking]] = defaultdict(list)
    for booking in state.bookings:
        bookings[booking.task_id].append(booking)
    for task_id in sorted(tasks.keys() | bookings.keys()):
        found = bookings.get(task_id, [])
        if task_id not in tasks:
            yield f"task {task_id} has a booking, but is not completed"
        elif len(found) != 1:
            yield f"task {task_id} is completed, but has {len(found)} bookings"
        elif not _is_as_requested(found[0], tasks[task_id]):
            yield f"the booking of task {task_id} is not what was requested"


def _is_as_requested(booking: Booking, task: Task) -> bool:
    requested = task.parameters["flightId"], task.parameters["seats"], task.user_id
    return (booking.flight_id, booking.seats, booking.user_id) == requested


def _check_cancellations(state: State) -> Iterator[str]:
    """A booking is cancelled if and only if one completed task cancelled it."""
    by_tasks = Counter(
        task.parameters["taskId"] for task in _completed(state, "booking_cancellation").values()
    )
    for booking in state.bookings:
        times = by_tasks.pop(booking.task_id, 0)
        if times != (booking.cancelled_at is not None):
            actual = "not cancelled" if booking.cancelled_at is None else "cancelled"
            yield f"booking {booking.task_id} is {actual}, but {times} completed tasks cancelled it"
    for task_id in by_tasks:
        yield f"a completed task cancelled booking {task_id}, which does not exist"


def _check_seats(state: State) -> Iterator[str]:
    """The seats sold of a flight are those of its bookings, and those of completed tasks."""
    booked = Counter[int]()
    for booking in state.bookings:
        if booking.cancelled_at is None:
            booked[booking.flight_id] += booking.seats
    of_tasks = Counter[int]()
    for task in _completed(state, "flight_booking").values():
        of_tasks[task.details.get("flightId", 0)] += task.details.get("seats", 0)
    for task in _completed(state, "booking_cancellation").values():
        of_tasks[task.details.get("flightId", 0)] -= task.details.get("seats", 0)
    for flight in state.flights:
        sold = flight.total_seats - flight.available_seats
        if not sold == booked[flight.id] == of_tasks[flight.id]:
            yield (
                f"{sold} seats of flight {flight.id} are sold, but {booked[flight.id]} are booked,"
                f" and {of_tasks[flight.id]} by completed tasks"
            )
        if not 0 <= flight.available_seats <= flight.total_seats:
            yield f"flight {flight.id} has {flight.available_seats} of {flight.total_seats} seats"


def _check_http(state: State) -> Iterator[str]:
    """HTTP shows what SQL has, from the cache or not."""
    for task in state.jobs:
        shown = state.shown_tasks.get(task.id)
        for name, attribute in SHOWN.items():
            value = getattr(task, attribute)
            if shown is None or shown.get(name) != value:
                yield f"task {task.id} is shown as {shown}, but its {name} is {value}"
                break
    for flight in state.flights:
        seats = state.shown_seats.get(flight.id)
        if seats != flight.available_seats:
            yield f"flight {flight.id} is shown with {seats} seats, not {flight.available_seats}"
