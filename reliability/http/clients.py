"""A process of clients: they PATCH users to rising numbers, and GET them, at every instance.

Only one thread of all writes a user. So its numbers rise, and the last one that was answered is the
least that a later read may return.
"""

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from ..http_client import HttpClient, Response
from ..journal import now
from ..settings import RunSettings, process_name
from .settings import SERVICE_TOKEN, USERS, ClientSettings

PROCESSES = 2

_READERS = 6  # threads of a process
_MAX_PAUSE = 0.05  # seconds between two writes of a user
_AFTER_FAILURE = 0.05  # seconds


class Clients:
    """The clients of process number `number`. They end after so many successful operations."""

    def __init__(self, run: RunSettings, settings: ClientSettings, number: int) -> None:
        self._run = run
        self._settings = settings
        self._number = number
        self._note = run.journal(process_name()).note
        self._instances = range(len(settings.ports))
        self._succeeded = 0  # roughly: threads may lose a count

    def run(self) -> None:
        """Read and write until the share of this process is done."""
        users = range(1 + self._number, USERS + 1, PROCESSES)
        threads = [threading.Thread(target=self._write, args=(user,)) for user in users]
        threads += [threading.Thread(target=self._read, args=(n,)) for n in range(_READERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _turns(self) -> Iterator[None]:
        while self._succeeded < self._settings.operations:
            if time.monotonic() > self._settings.until:
                return
            yield

    def _write(self, user: int) -> None:
        rng = self._run.random_for(f"writer {user}")
        session = self._settings.sessions[user - 1]
        for number, _ in enumerate(self._turns(), 1):
            instance = rng.choice(self._instances)
            begin = now()
            body = {"firstName": str(number)}
            response = self._client(instance, session).call("PATCH", f"/users/{user}", body)
            self._note("write", begin, now(), user, _outcome(response), number, "write", instance)
            self._count(response)
            time.sleep(rng.uniform(0, _MAX_PAUSE))

    def _read(self, thread: int) -> None:
        rng = self._run.random_for(f"{process_name()} reader {thread}")
        for _ in self._turns():
            user = rng.randint(1, USERS)
            by = rng.choice(["owner", "admin", "service"])
            instance = rng.choice(self._instances)
            client = self._client(instance, self._session(user, by))
            begin = now()
            response = client.call("GET", f"/users/{user}")
            number = int(response.body["user"]["firstName"]) if response.status == 200 else -1
            self._note("read", begin, now(), user, _outcome(response), number, by, instance)
            self._count(response)

    def _session(self, user: int, by: str) -> str | None:
        """The reader's session. Services have none, so they read without Redis."""
        if by == "service":
            return None
        return self._settings.admin_session if by == "admin" else self._settings.sessions[user - 1]

    def _client(self, instance: int, session: str | None) -> HttpClient:
        header: dict[str, Any] = (
            {"X-Service-Token": SERVICE_TOKEN}
            if session is None
            else {"Authorization": f"Bearer {session}"}
        )
        return HttpClient(self._settings.ports[instance], header)

    def _count(self, response: Response) -> None:
        if response.status == 200:
            self._succeeded += 1
        else:
            time.sleep(_AFTER_FAILURE)


def _outcome(response: Response) -> str:
    return str(response.status or response.body)


if __name__ == "__main__":
    Clients(
        RunSettings.from_environment(), ClientSettings.from_environment(), int(sys.argv[1])
    ).run()
