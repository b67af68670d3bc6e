"""Clients book seats, and cancel some of them, while Task Processing fails around them."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings, SessionStore
from common.pyportal_common.redis_server import RedisServer, free_port

from ..harness import ServiceRun
from ..http_client import HttpClient
from .checker import check
from .state import FINAL, Accepted, State, read_state

_USERS = 8
_SEATS = (20, 60, 200, 1000, 1000)  # of each flight: some sell out
_CANCELS_BOOKING = 0.15
_CANCELS_TASK = 0.05
_SESSIONS_DB = 0


class TaskRun(ServiceRun[State]):
    """The run of `requests` bookings."""

    final = FINAL
    jobs = ("tasks",)
    service = "taskprocessing-service"

    _admin: HttpClient
    _users: dict[int, HttpClient]
    _flights: list[int]

    def variables(self) -> dict[str, str]:
        return {
            # A port where nothing listens: resolving a name that does not exist would take seconds,
            # for which each event would block a thread that tasks need.
            "NOTIFICATION_URL": f"http://127.0.0.1:{free_port()}",
            "JOB_LEASE_SECONDS": "2",
            "RATE_LIMIT_TASKS": "100000/60",
        }

    def is_ready(self, redis: RedisServer) -> bool:
        """Log the users in, and add the flights as soon as the service has started."""
        if not hasattr(self, "_users"):
            self._log_in(redis)
            self._flights = []
        while len(self._flights) < len(_SEATS):
            if not self._add_flight(len(self._flights)):
                return False
        return True

    def client_loop(self, thread: int, turns: Iterator[int]) -> None:
        """Book, look at the result, and sometimes cancel the task or the booking."""
        rng = self.settings.random_for(f"client {thread}")
        user_id = thread + 1
        client = self._users[user_id]
        unwanted: list[int] = []
        for turn in turns:
            task_id = self._create(
                user_id,
                f"{self.settings.seed}-booking-{turn}",
                "flight_booking",
                {"flightId": rng.choice(self._flights), "seats": rng.randint(1, 4)},
                rng.choice(["high", "normal", "normal", "low"]),
            )
            if task_id is None:
                continue
            client.call("GET", f"/tasks/{task_id}")
            client.call("GET", f"/flights/{rng.choice(self._flights)}/availability")
            if rng.random() < _CANCELS_TASK:
                client.call("POST", f"/tasks/{task_id}/cancel")
            elif rng.random() < _CANCELS_BOOKING:
                unwanted.append(task_id)
            if unwanted and self._is_completed(client, unwanted[0]):
                self._cancel_booking(user_id, unwanted.pop(0), rng)
        for task_id in unwanted:  # whether or not the seats were sold
            self._cancel_booking(user_id, task_id, rng)

    def check(self, accepted: Sequence[Any], state: State) -> list[str]:
        return check(accepted, state)

    def read_state(self, engine: Engine) -> State:
        state = read_state(engine)
        for task in state.jobs:
            body = self._users[task.user_id].call("GET", f"/tasks/{task.id}").body
            state.shown_tasks[task.id] = body.get("task") if isinstance(body, dict) else None
        for flight in state.flights:
            body = self._users[1].call("GET", f"/flights/{flight.id}/availability").body
            seats = body.get("available_seats") if isinstance(body, dict) else None
            state.shown_seats[flight.id] = seats
        return state

    def _log_in(self, redis: RedisServer) -> None:
        settings = RedisSettings.load(url=redis.url, _env_file=None)
        connection = RedisClient.connect(settings, db=_SESSIONS_DB)
        store = SessionStore(connection)

        def log_in(user_id: int, role: str) -> HttpClient:
            session_id = store.create(user_id, {"role": role}).session_id
            return HttpClient(self.port, {"Authorization": f"Bearer {session_id}"}, self.log)

        self._admin = log_in(0, "admin")
        self._users = {user_id: log_in(user_id, "user") for user_id in range(1, _USERS + 1)}
        connection.close()

    def _add_flight(self, number: int) -> bool:
        body = {
            "flightNumber": f"PY{number + 1}",
            "origin": "LIS",
            "destination": "OSL",
            "departsAt": (datetime.now(UTC) + timedelta(days=30)).isoformat(),
            "totalSeats": _SEATS[number],
        }
        response = self._admin.call("POST", "/flights", body)
        if response.status == 201:
            self._flights.append(int(response.body["flight"]["flightId"]))
        return response.status == 201

    def _create(
        self, user_id: int, key: str, kind: str, parameters: dict[str, Any], priority: str
    ) -> int | None:
        """The id of a new task; None if it was never accepted."""
        body = {"taskType": kind, "parameters": parameters, "priority": priority}
        created = self._users[user_id].create("/tasks", body, key)
        if created is None:
            return None
        task_id = int(created["task"]["taskId"])
        self.log.accepted.append(Accepted(task_id, user_id, key, kind, parameters))
        return task_id

    def _cancel_booking(self, user_id: int, task_id: int, rng: random.Random) -> None:
        key = f"{self.settings.seed}-cancellation-{task_id}"
        priority = rng.choice(["high", "low"])
        self._create(user_id, key, "booking_cancellation", {"taskId": task_id}, priority)

    @staticmethod
    def _is_completed(client: HttpClient, task_id: int) -> bool:
        response = client.call("GET", f"/tasks/{task_id}")
        return response.status == 200 and response.body["task"]["status"] == "completed"
