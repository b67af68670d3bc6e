"""Messages to Notification, written in the transactions that cause them and posted by workers."""

from collections.abc import Iterable
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import select

from common.pyportal_common.db import Transaction
from common.pyportal_common.jobs.outbox import EVENTS, BaseOutbox

from .models import Booking, Flight, Message, Task


class Outbox(BaseOutbox[Message]):
    """Writes messages. Workers find them within a second."""

    def tasks_ended(self, tx: Transaction, tasks: Iterable[Task]) -> None:
        """Notify the users of tasks that completed or failed; not of one that a user cancelled.

        Notification also publishes this to the users' webhooks, as `task.completed` and such.
        """
        found = (
            (Message(user_id=task.user_id, traceparent=task.traceparent), _notification(task))
            for task in tasks  # which end together, in the thread of one of them
        )
        self.publish_all(tx, ((message, body) for message, body in found if body is not None))

    def booking_cancelled(self, tx: Transaction, booking: Booking, flight: Flight) -> None:
        """Publish the event of a booking that is cancelled without a task."""
        data = {
            "bookingId": booking.task_id,
            "flightId": flight.id,
            "flightNumber": flight.flight_number,
            "origin": flight.origin,
            "destination": flight.destination,
            "departsAt": to_jsonable_python(flight.departs_at),
            "seats": booking.seats,
        }
        body = {"type": "booking.cancelled", "userId": booking.user_id, "data": data}
        self.publish(tx, Message(user_id=booking.user_id), body, path=EVENTS)

    def user_deleted(self, tx: Transaction, user_id: int) -> None:
        """Cancel the user's messages that have not been posted."""
        for message in tx.scalars(
            select(Message).where(Message.user_id == user_id).order_by(Message.id).with_for_update()
        ):
            message.body, message.user_id = {}, None
            if not message.has_ended:
                self.cancel(message)


def _notification(task: Task) -> dict[str, Any] | None:
    data: dict[str, Any] = {
        "taskId": task.id,
        "taskReference": task.reference,
        "taskType": task.task_type,
    }
    if task.status == task.STATES.done:
        template, data["details"] = "task_completed", task.details
    elif task.status == task.STATES.failed:
        template, data["error"] = "task_failed", task.error
    else:
        return None
    return {"channel": "email", "userId": task.user_id, "template": template, "data": data}
