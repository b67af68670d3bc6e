"""Books a flight and cancels it: python walk.py NEW_USERNAME URL [URL URL]

The URLs are those of User Management, Task Processing and Notification, or the one of a gateway.
"""

import sys
import time
from typing import TypeVar
from uuid import uuid4

import httpx
from pyportal_client import AuthenticatedClient, Client
from pyportal_client.api.bookings import cancel_booking
from pyportal_client.api.flights import list_flights
from pyportal_client.api.notifications import list_notifications, mark_read
from pyportal_client.api.sessions import log_in
from pyportal_client.api.tasks import create_task, show_task
from pyportal_client.api.users import register_user
from pyportal_client.models import (
    BookingEnvelope,
    FlightBooking,
    FlightList,
    FlightView,
    LoggedIn,
    NewFlightBooking,
    NotificationEnvelope,
    NotificationList,
    NotificationView,
    Registered,
    Registration,
    TaskEnvelope,
    UsernameAndPassword,
)

PASSWORD = "correct-horse-battery"
ATTEMPTS = 300
PAUSE_SECONDS = 0.2

T = TypeVar("T")


def expect(kind: type[T], response: object) -> T:
    """The response, if it is of this kind. Exits with the error otherwise."""
    if not isinstance(response, kind):
        sys.exit(f"not a {kind.__name__}: {response}")
    return response


def register(users: Client, username: str) -> LoggedIn:
    """Create a user and log in."""
    body = Registration(username=username, email=f"{username}@example.com", password=PASSWORD)
    user = expect(Registered, register_user.sync(client=users, body=body)).user
    print(f"registered {user.username}")
    credentials = UsernameAndPassword(username=username, password=PASSWORD)
    return expect(LoggedIn, log_in.sync(client=users, body=credentials))


def book(tasks: AuthenticatedClient, flight: FlightView) -> int:
    """Book a seat, and wait until the task has ended. Returns its id, which is the booking's."""
    parameters = FlightBooking(flight_id=flight.flight_id, seats=1)
    body = NewFlightBooking(task_type="flight_booking", parameters=parameters)
    created = create_task.sync(client=tasks, body=body, idempotency_key=str(uuid4()))
    task = expect(TaskEnvelope, created).task
    while task.status in {"pending", "processing"}:
        shown = show_task.sync(task.task_id, client=tasks, prefer="wait=20")
        task = expect(TaskEnvelope, shown).task
    print(f"the booking is {task.status}")
    return task.task_id


def find_notification(client: AuthenticatedClient, template: str) -> NotificationView:
    """Wait for a notification of the user."""
    for _ in range(ATTEMPTS):
        listed = expect(NotificationList, list_notifications.sync(client=client))
        for notification in listed.items:
            if notification.template == template:
                return notification
        time.sleep(PAUSE_SECONDS)
    sys.exit("no notification")


def main(username: str, *urls: str) -> None:
    """Walk from registration to a cancelled booking."""
    users_url, tasks_url, notifications_url = urls if len(urls) == 3 else urls * 3
    session = register(Client(users_url, timeout=httpx.Timeout(30)), username)
    tasks = AuthenticatedClient(tasks_url, token=session.session_id, timeout=httpx.Timeout(30))
    notifications = AuthenticatedClient(notifications_url, token=session.session_id)

    found = expect(FlightList, list_flights.sync(client=tasks, origin="LIS", destination="OSL"))
    booking_id = book(tasks, found.items[0])
    notification = find_notification(notifications, "task_completed")
    read = mark_read.sync(notification.notification_id, client=notifications)
    print(f"read: {expect(NotificationEnvelope, read).notification.title}")
    cancelled = expect(BookingEnvelope, cancel_booking.sync(booking_id, client=tasks))
    print(f"the booking is {cancelled.booking.status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
