"""A user's way through all services, from the welcome mail to the deletion."""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common.pyportal_common.testing.raw_servers import Conversation, RawServer
from local.client import API

from ..mails import token
from ..portal_api import User, registration, wait_until
from .conftest import UNLIMITED, Portal, running_portal

NEW_PASSWORD = "another-horse-battery"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal without rate limits, and with short leases of jobs."""
    yield from running_portal(
        tmp_path_factory.mktemp("portal"),
        **UNLIMITED,
        JOB_LEASE_SECONDS="2",
    )


@pytest.fixture(scope="module")
def flight_id(portal: Portal) -> int:
    return User.create_admin(portal).add_flight("PY101")


def notifications(user: User) -> dict[str, Any]:
    """The user's notifications by their templates."""
    items = user.fetch("GET", "/notifications", service="notification")["items"]
    return {item["template"]: item for item in items}


def wait_until_sent(user: User, template: str) -> int:
    """Wait until the notification with that template is sent. Returns its id."""

    def is_sent() -> bool:
        found = notifications(user).get(template)
        if found is None:
            return False
        path = f"/notifications/{found['notificationId']}/status"
        return bool(user.fetch("GET", path, service="notification")["status"] == "sent")

    wait_until(is_sent)
    return int(notifications(user)[template]["notificationId"])


def cached_status(portal: Portal, user: User, notification_id: int) -> Any:
    """A status as Redis holds it. A process that renews its trust may remove it once more."""
    found: list[str] = []

    def is_cached() -> bool:
        path = f"/notifications/{notification_id}/status"
        user.fetch("GET", path, service="notification")
        found.append(portal.redis(f"-n 2 get notification:status:{notification_id}"))
        return found[-1] != ""

    wait_until(is_cached)
    return json.loads(found[-1])


def test_a_new_user_verifies_the_address_with_the_welcome_mail(portal: Portal) -> None:
    john = User.register(portal, "john_doe")
    welcome = portal.mail(john.email, "Welcome to the portal, john_doe")
    notification_id = wait_until_sent(john, "welcome")
    cached = cached_status(portal, john, notification_id)
    assert (cached["notificationId"], cached["status"]) == (notification_id, "sent")
    assert f"http://localhost:{portal.port}/app/verify#token=" in welcome

    body = {"token": token(welcome)}
    assert portal.request("POST", f"{API}/email/verify", body).status == 204

    assert portal.log_in("john_doe").body["user"]["emailVerified"] is True
    assert portal.request("POST", f"{API}/email/verify", body).status == 400


def test_a_mail_confirms_a_booking(portal: Portal, flight_id: int) -> None:
    amelia = User.register(portal, "amelia")

    amelia.book(flight_id)

    booked = portal.mail(amelia.email, "Your flight is booked")
    assert "PY101 from LIS to OSL" in booked
    assert "Seats: 1" in booked


def test_a_webhook_receives_a_booking_and_the_verified_address(
    portal: Portal, flight_id: int, serve: Callable[..., RawServer]
) -> None:
    received: dict[str, Any] = {}

    def talk(client: Conversation) -> None:
        event = json.loads(client.hear().partition(b"\r\n\r\n")[2])
        received[event["type"]] = event["data"]
        client.say(b"HTTP/1.1 204 No Content\r\n\r\n")

    beryl = User.register(portal, "beryl")
    beryl.fetch("POST", "/webhooks", {"url": serve(talk).url}, service="notification")
    welcome = portal.mail(beryl.email, "Welcome to the portal, beryl")
    portal.request("POST", f"{API}/email/verify", {"token": token(welcome)})

    task_id = beryl.book(flight_id)

    expected = {"user.verified", "task.completed", "booking.confirmed"}
    wait_until(lambda: expected <= received.keys())
    assert received["user.verified"]["username"] == "beryl"
    assert received["booking.confirmed"]["bookingId"] == task_id
    assert received["booking.confirmed"]["flightNumber"] == "PY101"
    catalogue = portal.request("GET", "/openapi.json", service="notification").body["webhooks"]
    for name, data in received.items():
        content = catalogue[name]["post"]["requestBody"]["content"]["application/json"]
        assert data.keys() == content["example"]["data"].keys()


def test_a_mail_resets_a_forgotten_password(portal: Portal) -> None:
    bessie = User.register(portal, "bessie")
    forgotten = portal.request("POST", f"{API}/password/forgot", {"email": bessie.email})
    assert forgotten.status == 202
    link = token(portal.mail(bessie.email, "Set a new password"))

    body = {"token": link, "newPassword": NEW_PASSWORD}
    assert portal.request("POST", f"{API}/password/reset", body).status == 204

    assert bessie.request("GET", "/session").status == 401
    assert portal.log_in("bessie").status == 401
    assert portal.log_in("bessie", NEW_PASSWORD).status == 200
    assert "bessie" in portal.mail(bessie.email, "Your password was changed")


def test_no_mail_is_lost_when_notification_is_killed(portal: Portal) -> None:
    killed = portal.processes_of("notification")
    assert len(killed) == 4  # gunicorn, its two workers, and the worker that sends mails
    os.kill(portal.pid_of("app.worker", service="notification"), signal.SIGSTOP)
    early, late = ([f"{when}{n}" for n in range(4)] for when in ("early", "late"))
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(portal.register, early))
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):  # a worker ends when gunicorn is gone
                os.kill(pid, signal.SIGKILL)
        list(clients.map(portal.register, late))

    for name in early + late:
        assert token(portal.mail(registration(name)["email"], f"Welcome to the portal, {name}"))
    assert not set(killed) & set(portal.processes_of("notification"))


def test_a_deleted_user_is_deleted_in_all_services(portal: Portal, flight_id: int) -> None:
    ellen = User.register(portal, "ellen")
    ellen.book(flight_id)
    portal.mail(ellen.email, "Your flight is booked")
    ids = (wait_until_sent(ellen, "welcome"), wait_until_sent(ellen, "task_completed"))

    assert ellen.request("DELETE", f"/users/{ellen.user_id}").status == 204

    count = f"select count(*) from %s where user_id = {ellen.user_id}"
    for service, table in (
        ("taskprocessing", "tasks"),
        ("taskprocessing", "bookings"),
        ("notification", "notifications"),
    ):
        wait_until(lambda: portal.sql(service, count % table) == [(0,)])  # noqa: B023
    rows = f"select user_id, recipient, data from notifications where id in {ids}"
    assert portal.sql("notification", rows) == [(None, None, "{}")] * 2
