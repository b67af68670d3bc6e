"""What users of the whole portal go through, from the first mail to the last."""

import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .conftest import Answer, Portal, running, user, wait_until
from .mailbox import mail, token

API = "/api/v1/airliner"
NEW = "another-horse-battery"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal without limits, that misses its workers soon."""
    yield from running(
        tmp_path_factory.mktemp("portal"),
        RATE_LIMIT_REGISTER="100000/60",
        RATE_LIMIT_LOGIN="100000/60",
        JOB_LEASE_SECONDS="2",
        JOB_RESEND_SECONDS="1",
    )


class Visitor:
    """Somebody who is registered and logged in."""

    def __init__(self, portal: Portal, name: str) -> None:
        self._portal = portal
        self.name = name
        self.address = user(name)["email"]
        portal.register(name)
        begun = self.log_in()
        self.user_id = int(begun.body["user"]["id"])
        self._headers = {"Authorization": f"Bearer {begun.body['session_id']}"}

    def log_in(self, password: str = user("")["password"]) -> Answer:
        """Begin one more session."""
        login = {"username": self.name, "password": password}
        return self._portal.request("POST", f"{API}/login", login)

    def ask(
        self, method: str, path: str, body: Any = None, *, service: str = "usermanagement"
    ) -> Answer:
        """A request in the session that was begun first."""
        return self._portal.request(method, f"{API}{path}", body, service=service, **self._headers)

    def book(self, flight_id: int) -> None:
        """Want a seat."""
        parameters = {"flightId": flight_id, "seats": 1}
        wanted = {"taskType": "flight_booking", "parameters": parameters}
        assert self.ask("POST", "/tasks", wanted, service="taskprocessing").status == 202

    def notifications(self) -> dict[str, Any]:
        """One's own as the API shows them, by their templates."""
        shown = self.ask("GET", "/notifications", service="notification").body["items"]
        return {one["template"]: one for one in shown}

    def status_of(self, template: str) -> str:
        """How far the delivery of the one with that template has come."""
        notification_id = self.notifications()[template]["notificationId"]
        path = f"/notifications/{notification_id}/status"
        return str(self.ask("GET", path, service="notification").body["status"])

    def wait_for(self, template: str) -> None:
        """Return when the one with that template is sent, in Notification's own words."""
        wait_until(lambda: self.status_of(template) == "sent", seconds=15)


@pytest.fixture(scope="module")
def flight_id(portal: Portal) -> int:
    """Of a flight that an admin has added."""
    made = portal.make(
        "flask",
        service="usermanagement",
        args="users create-admin --username boss --email boss@example.com",
        ADMIN_PASSWORD=user("boss")["password"],
    )
    assert made.returncode == 0, made.stderr
    flight = {
        "flightNumber": "PY101",
        "origin": "LIS",
        "destination": "OSL",
        "departsAt": "2100-01-31T09:30:00Z",
        "totalSeats": 100,
    }
    added = Visitor(portal, "boss").ask("POST", "/flights", flight, service="taskprocessing")
    return int(added.body["flight"]["flightId"])


def sql(portal: Portal, service: str, query: str) -> list[Any]:
    """What a service's database holds, read beside the service."""
    file = portal.data_dir / f"{service}.sqlite3"
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def test_who_registers_is_welcomed_and_verifies_the_address_by_the_link(portal: Portal) -> None:
    john = Visitor(portal, "john_doe")
    welcome = mail(portal, john.address, "Welcome to the portal, john_doe")
    john.wait_for("welcome")
    assert f"http://localhost:{portal.port}/account/verify#token=" in welcome

    link = {"token": token(welcome)}
    assert portal.request("POST", f"{API}/email/verify", link).status == 204

    assert john.log_in().body["user"]["emailVerified"] is True
    assert portal.request("POST", f"{API}/email/verify", link).status == 400


def test_redis_holds_how_far_a_delivery_has_come(portal: Portal) -> None:
    maria = Visitor(portal, "maria")
    wait_until(lambda: "welcome" in maria.notifications(), seconds=15)
    notification_id = maria.notifications()["welcome"]["notificationId"]
    maria.wait_for("welcome")

    cached = json.loads(portal.redis(f"-n 2 get notification:status:{notification_id}"))

    assert (cached["notificationId"], cached["status"]) == (notification_id, "sent")


def test_a_booking_is_confirmed_with_the_number_of_the_flight(
    portal: Portal, flight_id: int
) -> None:
    amelia = Visitor(portal, "amelia")

    amelia.book(flight_id)

    booked = mail(portal, amelia.address, "Your flight is booked")
    assert "PY101 from LIS to OSL" in booked
    assert "seats: 1" in booked


def test_a_forgotten_password_is_reset_by_the_link(portal: Portal) -> None:
    bessie = Visitor(portal, "bessie")
    forgotten = portal.request("POST", f"{API}/password/forgot", {"email": bessie.address})
    assert forgotten.status == 202
    link = token(mail(portal, bessie.address, "Set a new password"))

    reset = {"token": link, "newPassword": NEW}
    assert portal.request("POST", f"{API}/password/reset", reset).status == 204

    assert bessie.ask("GET", "/session").status == 401
    assert bessie.log_in().status == 401
    assert bessie.log_in(NEW).status == 200
    assert "bessie" in mail(portal, bessie.address, "Your password was changed")


def test_no_mail_is_lost_when_all_of_notification_is_killed(portal: Portal) -> None:
    killed = portal.processes_of("notification")
    assert len(killed) == 4  # gunicorn and its two workers, and the one that delivers
    os.kill(portal.pid_of("app.worker", service="notification"), signal.SIGSTOP)
    early, late = ([f"{when}{n}" for n in range(4)] for when in ("early", "late"))
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(portal.register, early))
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):  # a worker ends when gunicorn is gone
                os.kill(pid, signal.SIGKILL)
        list(clients.map(portal.register, late))

    for name in early + late:
        assert token(mail(portal, user(name)["email"], f"Welcome to the portal, {name}"))
    assert not set(killed) & set(portal.processes_of("notification"))


def test_who_is_deleted_is_forgotten_by_the_other_services(portal: Portal, flight_id: int) -> None:
    ellen = Visitor(portal, "ellen")
    ellen.book(flight_id)
    mail(portal, ellen.address, "Your flight is booked")
    ellen.wait_for("task_completed")
    told = [one["notificationId"] for one in ellen.notifications().values()]
    assert len(told) == 2

    assert ellen.ask("DELETE", f"/users/{ellen.user_id}").status == 204

    whose = f"select count(*) from %s where user_id = {ellen.user_id}"
    for service, table in (
        ("taskprocessing", "tasks"),
        ("taskprocessing", "bookings"),
        ("notification", "notifications"),
    ):
        wait_until(lambda: sql(portal, service, whose % table) == [(0,)], seconds=15)  # noqa: B023
    left = f"select user_id, recipient, data from notifications where id in {tuple(told)}"
    assert sql(portal, "notification", left) == [(None, None, "{}")] * 2
