"""Odd values in Redis do not stop Task Processing: see OddValueChecks."""

from collections.abc import Mapping

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.testing.kit import API, json_of, session_headers
from common.pyportal_common.testing.odd_values import EARLIER, OddValueChecks

from .conftest import FLIGHT, FLIGHTS, TASKS, Headers, Json, Portal, booking


class TestOddValues(OddValueChecks):
    @pytest.fixture(autouse=True)
    def _flight(self, client: FlaskClient, portal: Portal) -> None:
        self.portal = portal
        response = client.post(FLIGHTS, json=FLIGHT, headers=session_headers(1, "admin"))
        self.flight = json_of(response)["flight"]
        self.task = portal.run(session_headers(7), booking(self.flight))
        self.users = 100

    def prepare(self) -> Headers:
        return session_headers(7)

    def exercise(self, client: FlaskClient, prepared: Headers) -> Mapping[str, int]:
        statuses: dict[str, int] = {}
        flight, task = f"{FLIGHTS}/{self.flight['flightId']}", f"{TASKS}/{self.task['taskId']}"

        def call(
            name: str, url: str, headers: Headers, method: str = "GET", body: Json | None = None
        ) -> Json:
            response = client.open(url, method=method, headers=headers, json=body)
            statuses[name] = response.status_code
            return json_of(response) if response.is_json else {}

        call(f"{EARLIER}list", TASKS, prepared)
        user = session_headers(7)
        for name in ("", " again"):
            seats = call(f"availability{name}", f"{flight}/availability", user)
            statuses[f"seats{name}"] = 200 if isinstance(seats["available_seats"], int) else 500
            shown = call(f"task{name}", task, user).get("task", {})
            statuses[f"reference{name}"] = 200 if shown == self.task else 500
            call(f"list{name}", TASKS, user)
        self.users += 1  # users may create only some tasks a minute
        booker = session_headers(self.users)
        created = call("book", TASKS, booker, "POST", booking(self.flight)).get("task", {})
        call("cancel", f"{TASKS}/{created.get('taskId', 1)}/cancel", booker, "POST")
        seats_now = {"totalSeats": self._left() + 2}
        call("change", flight, session_headers(1, "admin"), "PATCH", seats_now)
        seats = call("new availability", f"{flight}/availability", user)
        statuses["new seats"] = 200 if seats.get("available_seats") == self._left() else 500
        return statuses

    def _left(self) -> int:
        """The seats left, by SQL."""
        return int(self.portal.services.flights.find(self.flight["flightId"])["availableSeats"])


def test_a_list_shows_no_version(client: FlaskClient, portal: Portal) -> None:
    user = session_headers(7)
    task = portal.create(user)

    for _ in range(2):
        assert json_of(client.get(TASKS, headers=user))["items"] == [task]
        assert json_of(client.get(f"{API}/tasks/{task['taskId']}", headers=user)) == {"task": task}
    text = portal.services.redis_client.get("user:bookings:7") or ""
    assert text.startswith('[{"_v":1,"taskId":')
