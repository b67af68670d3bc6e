"""Services, who want notifications and repeat themselves until somebody has heard them."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ..http_client import call
from .state import Accepted

_CLIENTS = 8
_PATIENCE = 60.0  # seconds for one request, after which it counts as never taken
_AGAIN_AFTER = 0.3  # seconds


@dataclass
class Told:
    """What clients know in the end. They add to it from many threads."""

    accepted: list[Accepted] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    repeats: Counter[str] = field(default_factory=Counter)


class Clients:
    """Eight threads, who share the notifications among them. Half are mails, half are calls."""

    def __init__(
        self, *, port: int, token: str, endpoint: str, number: int, seconds: float, seed: int
    ) -> None:
        self.told = Told()
        self._port = port
        self._token = token
        self._endpoint = endpoint
        self._number = number
        self._seconds = seconds
        self._seed = seed
        self._began = time.monotonic()
        self._threads = [
            threading.Thread(target=self._want, args=(first,)) for first in range(_CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until all have been heard, or gave up."""
        for thread in self._threads:
            thread.join()

    def _want(self, first: int) -> None:
        chance = random.Random(f"{self._seed} client {first}")
        for turn in range(first, self._number, _CLIENTS):
            due = self._began + 0.95 * self._seconds * turn / self._number
            time.sleep(max(0, due - time.monotonic()))
            self._have_taken(f"{self._seed}-{turn}", chance.choice(["email", "webhook"]))

    def _have_taken(self, key: str, channel: str) -> None:
        recipient = f"{key}@example.com" if channel == "email" else self._endpoint
        body = {
            "channel": channel,
            "recipient": recipient,
            "subject": key,
            "message": "Admission 7",
        }
        until = time.monotonic() + _PATIENCE
        while True:
            answer = self._post(body, key)
            if answer.is_final or time.monotonic() > until:
                break
            self.told.repeats[str(answer.status or answer.body)] += 1
            time.sleep(_AGAIN_AFTER)
        if answer.status != 202:
            self.told.unheard.append(f"{key}: {answer.status} {answer.body}")
            return
        made = answer.body["notification"]
        self.told.accepted.append(Accepted(key, channel, made["notificationId"], made["messageId"]))

    def _post(self, body: Any, key: str) -> Any:
        return call(self._port, "POST", "/notifications", self._token, body, key, by_service=True)
