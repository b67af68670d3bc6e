"""HTTP requests to the service under test, which may die while it answers."""

import http.client
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PREFIX = "/api/v1/airliner"

_TIMEOUT = 10.0  # seconds
_GIVE_UP_AFTER = 60.0  # seconds, for one request and its repetitions
_REPEAT_AFTER = 0.3  # seconds


@dataclass(frozen=True, slots=True)
class Response:
    """A status and a JSON body; 0 and the name of the error without a response."""

    status: int
    body: Any

    @property
    def is_final(self) -> bool:
        """Whether sending the same request again cannot change the response."""
        in_flight = self.status == 409 and "Idempotency-Key" in json.dumps(self.body)
        return 0 < self.status < 500 and not in_flight


@dataclass
class ClientLog:
    """What the clients of a run observed. They add to it from many threads."""

    accepted: list[Any] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)  # requests that were never accepted
    responses: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)


class HttpClient:
    """A client of the service on `port`, with the headers of its login session or its service."""

    def __init__(
        self,
        port: int,
        headers: Mapping[str, str],
        log: ClientLog | None = None,
        *,
        timeout: float = _TIMEOUT,
    ) -> None:
        self.log = log or ClientLog()
        self._port = port
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json", **headers}

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Response:
        """One request, on its own connection."""
        headers = self._headers | ({} if key is None else {"Idempotency-Key": key})
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, f"{PREFIX}{path}", text, headers)
            answer = connection.getresponse()
            response = Response(answer.status, json.loads(answer.read() or b"null"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            response = Response(0, type(error).__name__)
        finally:
            connection.close()
        self.log.responses[str(response.status or "none")] += 1
        return response

    def create(self, path: str, body: Any, key: str) -> Any | None:
        """POST until the response is final; the body of a 202, else None."""
        deadline = time.monotonic() + _GIVE_UP_AFTER
        while True:
            response = self.call("POST", path, body, key)
            if response.is_final or time.monotonic() > deadline:
                break
            self.log.repeats[str(response.status or response.body)] += 1
            time.sleep(_REPEAT_AFTER)
        if response.status == 202:
            return response.body
        self.log.rejected.append(f"{key}: {response.status} {response.body}")
        return None
