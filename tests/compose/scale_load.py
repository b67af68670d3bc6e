"""The clients of `scale.py`: they use a portal through its gateway, and count what they see."""

import http.client
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from local.client import API

from ..portal_api import PASSWORD, registration

LIMIT, WINDOW = 200, 10.0
"""RATE_LIMIT_READS, which two clients use up."""

_PAUSE = 0.02  # seconds between the requests of a client


class ClientFailed(Exception):
    """A client cannot go on. Its failure is counted."""


class Client:
    """Sends requests with a session, on a connection that it keeps or not."""

    def __init__(self, address: str, *, keeps: bool = True) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=30)
        self._keeps = keeps
        self.session_id = ""

    def send(self, method: str, path: str, body: Any = None) -> tuple[str, Any]:
        """The status and the body of a response; or the name of an exception."""
        headers = {"Content-Type": "application/json"}
        if self.session_id:
            headers["Authorization"] = f"Bearer {self.session_id}"
        text = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, f"{API}{path}", text, headers)
            response = self._connection.getresponse()
            found = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return type(error).__name__, None
        if not self._keeps:
            self._connection.close()
        return str(response.status), json.loads(found) if found else None


@dataclass
class Load:
    """The clients, and what they have counted."""

    address: str
    flight_id: int
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: float = 0.0
    admitted: list[tuple[float, float]] = field(default_factory=list)
    """When the requests that the limit admitted began and ended."""
    refused: int = 0
    created: int = 0
    rows: int = 0
    _is_over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the clients, and stop them at the end."""
        twice = (self._read, self._browse, self._create)
        targets = [*twice, *twice, self._use_up, self._log_in]
        keeps = [True] * len(twice) + [False] * len(twice) + [True, False]
        threads = [
            threading.Thread(target=self._run, args=pair)
            for pair in zip(targets, keeps, strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over = True
            for thread in threads:
                thread.join()

    def _run(self, target: Callable[[Client], None], keeps: bool) -> None:
        with suppress(ClientFailed):
            target(self._log_in_as_new_user(Client(self.address, keeps=keeps)))

    def _count(self, client: Client, kind: str, method: str, path: str, body: Any = None) -> Any:
        began = time.monotonic()
        status, found = client.send(method, path, body)
        with self._lock:
            self.outcomes[kind, status] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
        time.sleep(_PAUSE)
        return found if status.startswith("2") else None

    def _log_in_as_new_user(self, client: Client) -> Client:
        name = f"scale{uuid.uuid4().hex[:12]}"
        self._count(client, "registrations", "POST", "/registerUser", registration(name))
        credentials = {"username": name, "password": PASSWORD}
        found = self._count(client, "logins", "POST", "/login", credentials)
        if found is None:
            raise ClientFailed
        client.session_id = found["session_id"]
        return client

    def _read(self, client: Client) -> None:
        while not self._is_over:
            self._count(client, "sessions", "GET", "/session")

    def _browse(self, client: Client) -> None:
        while not self._is_over:
            self._count(client, "flights", "GET", "/flights")
            self._count(client, "notifications", "GET", "/notifications")

    def _create(self, client: Client) -> None:
        """Create tasks, without a key that would make a repetition harmless."""
        created = 0
        parameters = {"flightId": self.flight_id, "seats": 1}
        task = {"taskType": "flight_booking", "parameters": parameters}
        while not self._is_over:
            if self._count(client, "tasks", "POST", "/tasks", task) is not None:
                created += 1
            time.sleep(0.2)
        with self._lock:
            self.created += created
            self.rows += sum(1 for _ in self._rows(client))

    def _rows(self, client: Client) -> Iterator[Any]:
        path = "/tasks"
        while path:
            _, page = client.send("GET", path)
            yield from page["items"]
            path = f"/tasks?cursor={page['next']}" if page["next"] else ""

    def _log_in(self, client: Client) -> None:
        while not self._is_over:
            self._count(client, "logouts", "POST", "/logout")
            client.session_id = ""
            time.sleep(0.5)
            self._log_in_as_new_user(client)

    def _use_up(self, client: Client) -> None:
        """Use up a limit from two connections, and note which requests it admits."""
        other = Client(self.address)
        other.session_id = client.session_id
        second = threading.Thread(target=self._read_user, args=(other,))
        second.start()
        self._read_user(client)
        second.join()

    def _read_user(self, client: Client) -> None:
        while not self._is_over:
            began = time.monotonic()
            status, _ = client.send("GET", "/users/me")
            ended = time.monotonic()
            with self._lock:
                if status == "200":
                    self.admitted.append((began, ended))
                self.refused += status == "429"
                self.outcomes["limited", "200" if status == "429" else status] += 1
                self.slowest = max(self.slowest, ended - began)
            time.sleep(0.005)

    def failures(self) -> dict[str, int]:
        """What was not answered with a 2xx."""
        return {
            f"{kind} {status}": count
            for (kind, status), count in self.outcomes.items()
            if not status.startswith("2")
        }

    def exceeded(self) -> int:
        """How many windows had more than the limit admits.

        A request was admitted between its beginning and its end. So a window is only exceeded for
        sure if more requests began and ended in it.
        """
        found = sorted(self.admitted)
        too_many = (found[first : first + LIMIT + 1] for first in range(len(found) - LIMIT))
        return sum(1 for each in too_many if max(e for _, e in each) - each[0][0] < WINDOW)
