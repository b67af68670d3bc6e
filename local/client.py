"""A service of the running portal, as its clients see it."""

import http.client
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

PREFIX = "/api/v1/airliner"


class Refused(Exception):
    """A service gave an answer that the caller cannot go on with, or none. The message says it."""


@dataclass(frozen=True)
class Answer:
    """The status, and the body, which was JSON."""

    status: int
    body: Any


@dataclass(frozen=True)
class Client:
    """Asks the service on a port of this machine, on a connection for each request."""

    port: int

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        session_id: str | None = None,
        key: str | None = None,
        accepted: Sequence[int] = (200, 201, 202),
    ) -> Answer:
        """What it answers, with the session and the idempotency key that are given.

        Raises Refused for any status that is not among the `accepted`, and where nothing answers.
        """
        headers = {"Content-Type": "application/json"}
        if session_id is not None:
            headers["Authorization"] = f"Bearer {session_id}"
        if key is not None:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body)
        status, text = self._exchange(method, f"{PREFIX}{path}", data, headers)
        if status not in accepted:
            raise Refused(f"{method} {path} is answered {status}: {text.strip()[:500]}")
        return Answer(status, json.loads(text))

    def _exchange(
        self, method: str, path: str, data: str | None, headers: dict[str, str]
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with closing(connection):
            try:
                connection.request(method, path, data, headers)
                response = connection.getresponse()
                return response.status, response.read().decode("utf-8", "replace")
            except ConnectionRefusedError:
                raise Refused(
                    f"Nothing listens on port {self.port}: start the portal with `make run`."
                ) from None
            except (OSError, http.client.HTTPException) as error:
                raise Refused(f"Port {self.port} does not answer: {error}") from error
