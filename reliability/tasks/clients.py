"""Clients, who want seats and repeat themselves until somebody has heard them."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .http_client import Answer, call
from .setting import Setting
from .state import Accepted

_CLIENTS = 8
_CANCELS_BOOKING = 0.15
_CANCELS_TASK = 0.05
_PATIENCE = 60.0  # seconds for one request, after which it counts as never taken
_AGAIN_AFTER = 0.3  # seconds


@dataclass
class Told:
    """What clients know in the end. They add to it from many threads."""

    accepted: list[Accepted] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)  # requests that were refused, or never taken
    answers: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)


class Clients:
    """Eight threads with a user each, who share the bookings among them."""

    def __init__(
        self, setting: Setting, port: int, tokens: dict[int, str], flights: list[int]
    ) -> None:
        self.told = Told()
        self._setting = setting
        self._port = port
        self._flights = flights
        self._began = time.monotonic()
        self._threads = [
            threading.Thread(target=self._book_and_cancel, args=(number, user_id, token))
            for number, (user_id, token) in enumerate(tokens.items())
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until all have what they want, or gave up."""
        for thread in self._threads:
            thread.join()

    def _book_and_cancel(self, number: int, user_id: int, token: str) -> None:
        chance = self._setting.random_for(f"client {number}")
        client = _Client(self.told, self._port, user_id, token)
        regretted: list[int] = []
        for turn in range(number, self._setting.bookings, len(self._threads)):
            self._await_turn(turn)
            task_id = client.take(
                f"{self._setting.seed}-booking-{turn}",
                "flight_booking",
                {"flightId": chance.choice(self._flights), "seats": chance.randint(1, 4)},
                chance.choice(["high", "normal", "normal", "low"]),
            )
            if task_id is None:
                continue
            client.look_around(task_id, chance.choice(self._flights))
            if chance.random() < _CANCELS_TASK:
                client.cancel_task(task_id)
            elif chance.random() < _CANCELS_BOOKING:
                regretted.append(task_id)
            if regretted and client.status_of(regretted[0]) == "completed":
                client.cancel_booking(regretted.pop(0), self._setting.seed, chance)
        for task_id in regretted:
            client.cancel_booking(task_id, self._setting.seed, chance)

    def _await_turn(self, turn: int) -> None:
        """Bookings come evenly over the time of the faults."""
        due = self._began + 0.95 * self._setting.seconds * turn / self._setting.bookings
        time.sleep(max(0, due - time.monotonic()))


class _Client:
    """One user."""

    def __init__(self, told: Told, port: int, user_id: int, token: str) -> None:
        self._told = told
        self._port = port
        self._user_id = user_id
        self._token = token

    def take(self, key: str, kind: str, parameters: dict[str, Any], priority: str) -> int | None:
        """Have a task taken on; its id. None when that could not be."""
        body = {"taskType": kind, "parameters": parameters, "priority": priority}
        answer = self._insist("POST", "/tasks", body, key)
        if answer.status != 202:
            self._told.unheard.append(f"{key}: {answer.status} {answer.body}")
            return None
        task_id = int(answer.body["task"]["taskId"])
        self._told.accepted.append(Accepted(task_id, self._user_id, key, kind, parameters))
        return task_id

    def cancel_booking(self, task_id: int, seed: int, chance: random.Random) -> None:
        """Give the seats back, whether or not they were sold."""
        key = f"{seed}-cancellation-{task_id}"
        self.take(key, "booking_cancellation", {"taskId": task_id}, chance.choice(["high", "low"]))

    def cancel_task(self, task_id: int) -> None:
        """Take a wish back, if it is not fulfilled yet. Once: an answer is not needed."""
        self._call("POST", f"/tasks/{task_id}/cancel")

    def look_around(self, task_id: int, flight_id: int) -> None:
        """Read what is cached by that."""
        self._call("GET", f"/tasks/{task_id}")
        self._call("GET", f"/flights/{flight_id}/availability")

    def status_of(self, task_id: int) -> str | None:
        """How a task is getting on, if somebody says."""
        answer = self._call("GET", f"/tasks/{task_id}")
        return str(answer.body["task"]["status"]) if answer.status == 200 else None

    def _insist(self, method: str, path: str, body: Any, key: str) -> Answer:
        until = time.monotonic() + _PATIENCE
        while True:
            answer = self._call(method, path, body, key)
            if answer.is_final or time.monotonic() > until:
                return answer
            self._told.repeats[str(answer.status or answer.body)] += 1
            time.sleep(_AGAIN_AFTER)

    def _call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Answer:
        answer = call(self._port, method, path, self._token, body, key)
        self._told.answers[str(answer.status or "none")] += 1
        return answer
