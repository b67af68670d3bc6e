"""Requests to the service, and what becomes of them when it dies."""

import http.client
import json
from dataclasses import dataclass
from typing import Any

PREFIX = "/api/v1/airliner"

_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body; 0 and the error where there was no answer."""

    status: int
    body: Any

    @property
    def is_final(self) -> bool:
        """Whether it is of no use to send the same again."""
        in_flight = self.status == 409 and "Idempotency-Key" in json.dumps(self.body)
        return 0 < self.status < 500 and not in_flight


def call(
    port: int,
    method: str,
    path: str,
    token: str,
    body: Any = None,
    key: str | None = None,
    *,
    by_service: bool = False,
) -> Answer:
    """One request, on a connection of its own. The token is that of a session, or of a service."""
    who = {"X-Service-Token": token} if by_service else {"Authorization": f"Bearer {token}"}
    headers = who | {"Content-Type": "application/json"}
    if key is not None:
        headers["Idempotency-Key"] = key
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        connection.request(
            method, f"{PREFIX}{path}", None if body is None else json.dumps(body), headers
        )
        answer = connection.getresponse()
        return Answer(answer.status, json.loads(answer.read() or b"null"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(0, type(error).__name__)
    finally:
        connection.close()
