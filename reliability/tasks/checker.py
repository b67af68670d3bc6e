"""What must hold in the end, whatever died: of tasks, of seats, and of what HTTP shows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from .state import FINAL, Accepted, Booking, State, Task

_SHOWN = {
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
    """What is wrong, a sentence each."""
    return [
        *_of_accepted(accepted, state),
        *_of_tasks(state),
        *_of_bookings(state),
        *_of_cancellations(state),
        *_of_seats(state),
        *_of_http(state),
    ]


def _of_accepted(accepted: Iterable[Accepted], state: State) -> Iterator[str]:
    """Who was told that a task is taken on has one, and not two."""
    by_key: dict[tuple[int, str], list[Task]] = defaultdict(list)
    for task in state.tasks:
        by_key[task.user_id, task.idempotency_key].append(task)
    for told in accepted:
        found = by_key[told.user_id, told.digest]
        if [task.id for task in found] != [told.task_id]:
            ids = [task.id for task in found]
            yield f"task {told.task_id} was accepted for key {told.key}, and SQL has {ids}"
        elif (found[0].task_type, found[0].parameters) != (told.kind, told.parameters):
            yield f"task {told.task_id} is another than the one accepted for key {told.key}"


def _of_tasks(state: State) -> Iterator[str]:
    """Every task has ended, accepted or not, and none is there twice."""
    for task in state.tasks:
        if task.status not in FINAL:
            yield f"task {task.id} is {task.status}, after {task.attempts} attempts"
    keys = Counter((task.user_id, task.idempotency_key) for task in state.tasks)
    for (user_id, key), times in keys.items():
        if times > 1:
            yield f"user {user_id} has {times} tasks of key {key}"


def _completed(state: State, kind: str) -> dict[int, Task]:
    return {
        task.id: task
        for task in state.tasks
        if task.task_type == kind and task.status == "completed"
    }


def _of_bookings(state: State) -> Iterator[str]:
    """Each completed booking task has its booking, and no other task has one."""
    tasks = _completed(state, "flight_booking")
    bookings: dict[int, list[Booking]] = defaultdict(list)
    for booking in state.bookings:
        bookings[booking.task_id].append(booking)
    for task_id in sorted(tasks.keys() | bookings.keys()):
        found = bookings.get(task_id, [])
        if task_id not in tasks:
            yield f"there is a booking of task {task_id}, which is not completed"
        elif len(found) != 1:
            yield f"task {task_id} is completed and has {len(found)} bookings"
        elif not _is_as_wanted(found[0], tasks[task_id]):
            yield f"the booking of task {task_id} is not what was wanted"


def _is_as_wanted(booking: Booking, task: Task) -> bool:
    wanted = task.parameters["flightId"], task.parameters["seats"], task.user_id
    return (booking.flight_id, booking.seats, booking.user_id) == wanted


def _of_cancellations(state: State) -> Iterator[str]:
    """A booking is cancelled by one completed task, and not without one."""
    by_tasks = Counter(
        task.parameters["taskId"] for task in _completed(state, "booking_cancellation").values()
    )
    for booking in state.bookings:
        times = by_tasks.pop(booking.task_id, 0)
        if times != (booking.cancelled_at is not None):
            state_of_it = "not cancelled" if booking.cancelled_at is None else "cancelled"
            yield f"booking {booking.task_id} is {state_of_it}, by {times} completed tasks"
    for task_id in by_tasks:
        yield f"booking {task_id} is said to be cancelled, and there is none"


def _of_seats(state: State) -> Iterator[str]:
    """What is gone from a flight is what bookings have, and what completed tasks say."""
    booked = Counter[int]()
    for booking in state.bookings:
        if booking.cancelled_at is None:
            booked[booking.flight_id] += booking.seats
    said = Counter[int]()
    for task in _completed(state, "flight_booking").values():
        said[task.details.get("flightId", 0)] += task.details.get("seats", 0)
    for task in _completed(state, "booking_cancellation").values():
        said[task.details.get("flightId", 0)] -= task.details.get("seats", 0)
    for flight in state.flights:
        sold = flight.total_seats - flight.available_seats
        if not sold == booked[flight.id] == said[flight.id]:
            yield (
                f"of flight {flight.id}, {sold} seats are sold, {booked[flight.id]} are booked,"
                f" and completed tasks say {said[flight.id]}"
            )
        if not 0 <= flight.available_seats <= flight.total_seats:
            yield f"flight {flight.id} has {flight.available_seats} of {flight.total_seats} seats"


def _of_http(state: State) -> Iterator[str]:
    """What HTTP shows, from the cache or not, is what SQL has."""
    for task in state.tasks:
        shown = state.shown_tasks.get(task.id)
        for name, attribute in _SHOWN.items():
            value = getattr(task, attribute)
            if shown is None or shown.get(name) != value:
                yield f"task {task.id} is shown as {shown}, and its {name} is {value}"
                break
    for flight in state.flights:
        seats = state.shown_seats.get(flight.id)
        if seats != flight.available_seats:
            yield f"flight {flight.id} is shown with {seats} seats, not {flight.available_seats}"
