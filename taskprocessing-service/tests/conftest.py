"""Task Processing for the kit, and what tests call it with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from app import MIGRATIONS, create_app
from app.services import NAME, Services
from app.settings import TaskProcessingSettings
from common.pyportal_common.testing.kit import (
    API,
    ServiceUnderTest,
    json_of,
    run_due_jobs,
    session_headers,
)

TASKS = f"{API}/tasks"
FLIGHTS = f"{API}/flights"

EXPORT: dict[str, Any] = {"taskType": "data_export", "parameters": {}}
FLIGHT: dict[str, Any] = {
    "flightNumber": "PY101",
    "origin": "LIS",
    "destination": "OSL",
    "departsAt": "2099-01-31T09:30:00Z",
    "totalSeats": 100,
}

Headers = dict[str, str]
MakeApp = Callable[..., Flask]
Json = dict[str, Any]


def services_of(app: Flask) -> Services:
    """The services of an app."""
    services: Services = app.extensions[NAME]
    return services


def booking(flight: Json, seats: int = 1, **fields: Any) -> Json:
    """The body of a request for a booking."""
    parameters = {"flightId": flight["flightId"], "seats": seats}
    return {"taskType": "flight_booking", "parameters": parameters, **fields}


@contextmanager
def listening(target: Any, name: str, listener: Callable[..., None]) -> Iterator[None]:
    """Call `listener` for SQLAlchemy's events of that name."""
    event.listen(target, name, listener)
    try:
        yield
    finally:
        event.remove(target, name, listener)


@dataclass(frozen=True)
class Portal:
    """Calls the service as users do, and runs tasks as workers do."""

    client: FlaskClient
    services: Services

    def create(self, headers: Headers, body: Json = EXPORT) -> Json:
        """Create a task."""
        response = self.client.post(TASKS, json=body, headers=headers)
        assert response.status_code == 202, response.text
        task: Json = json_of(response)["task"]
        return task

    def show(self, headers: Headers, task: Json) -> Json:
        """The task as it is now."""
        response = self.client.get(f"{TASKS}/{task['taskId']}", headers=headers)
        current: Json = json_of(response)["task"]
        return current

    def list(self, headers: Headers, query: str = "") -> list[Json]:
        """The items of a page of tasks."""
        items: list[Json] = json_of(self.client.get(f"{TASKS}?{query}", headers=headers))["items"]
        return items

    def post(self, headers: Headers, task: Json, action: str) -> TestResponse:
        """Cancel or retry a task."""
        return self.client.post(f"{TASKS}/{task['taskId']}/{action}", headers=headers)

    def file(self, headers: Headers, task: Json) -> TestResponse:
        """Download the file of a task."""
        return self.client.get(f"{TASKS}/{task['taskId']}/file", headers=headers)

    def run_tasks(self) -> None:
        """Run all tasks that are due, in this thread."""
        run_due_jobs(self.services.jobs, self.services.task_handlers.run)

    def run(self, headers: Headers, body: Json) -> Json:
        """Create a task and run it."""
        task = self.create(headers, body)
        self.run_tasks()
        return self.show(headers, task)

    def seats_left(self, headers: Headers, flight: Json) -> int:
        """The availability of a flight."""
        path = f"{FLIGHTS}/{flight['flightId']}/availability"
        availability = json_of(self.client.get(path, headers=headers))
        assert availability == {**availability, "flight_id": flight["flightId"]}
        assert availability.keys() == {"flight_id", "available_seats"}
        return int(availability["available_seats"])


@pytest.fixture(scope="session")
def service() -> ServiceUnderTest:
    """The service that the kit tests."""
    return ServiceUnderTest(
        name=NAME,
        migrations=MIGRATIONS,
        load=TaskProcessingSettings.load,
        create=create_app,
        close=lambda app: services_of(app).close(),
    )


@pytest.fixture
def services(app: Flask) -> Services:
    """The services of `app`."""
    return services_of(app)


@pytest.fixture
def portal(client: FlaskClient, services: Services) -> Portal:
    """Calls `app`."""
    return Portal(client, services)


@pytest.fixture
def john(app: Flask) -> Headers:  # noqa: ARG001  it sets the server of sessions
    """Headers of a user's session."""
    return session_headers(7)


@pytest.fixture
def jane(app: Flask) -> Headers:  # noqa: ARG001  it sets the server of sessions
    """Headers of another user's session."""
    return session_headers(8)


@pytest.fixture
def admin(app: Flask) -> Headers:  # noqa: ARG001  it sets the server of sessions
    """Headers of an admin's session."""
    return session_headers(1, "admin")


@pytest.fixture
def flight(client: FlaskClient, admin: Headers) -> Json:
    """A flight with a hundred seats."""
    added: Json = json_of(client.post(FLIGHTS, json=FLIGHT, headers=admin))["flight"]
    return added


@pytest.fixture
def some_job_id(portal: Portal, john: Headers) -> int:
    """The id of a task."""
    return int(portal.create(john)["taskId"])
