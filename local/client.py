"""An HTTP client of one service of the running portal."""

import http.client
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

API = "/api/v1/airliner"


class RequestFailed(Exception):
    """A service did not respond, or not with an accepted status. The message is for the user.

    `status` is None without a response. `retry_after` is the header Retry-After, in seconds.
    """

    def __init__(
        self, message: str, status: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True)
class ApiResponse:
    """The status and the parsed JSON body of a response."""

    status: int
    body: Any


@dataclass(frozen=True)
class Client:
    """Sends requests to the service on a port of this machine, each on a new connection."""

    port: int

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        session_id: str | None = None,
        idempotency_key: str | None = None,
        accepted: Sequence[int] = (200, 201, 202),
    ) -> ApiResponse:
        """Send a request. RequestFailed if the response has none of the `accepted` statuses."""
        headers = {"Content-Type": "application/json"}
        if session_id is not None:
            headers["Authorization"] = f"Bearer {session_id}"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        data = None if body is None else json.dumps(body)
        response, text = self._send(method, f"{API}{path}", data, headers)
        if response.status not in accepted:
            raise RequestFailed(
                f"{method} {path} failed with status {response.status}: {text.strip()[:500]}",
                response.status,
                int(response.headers.get("Retry-After", 0)) or None,
            )
        return ApiResponse(response.status, json.loads(text))

    def _send(
        self, method: str, path: str, data: str | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with closing(connection):
            try:
                connection.request(method, path, data, headers)
                response = connection.getresponse()
                return response, response.read().decode("utf-8", "replace")
            except ConnectionRefusedError:
                raise RequestFailed(
                    f"Nothing listens on port {self.port}: start the portal with `make run`."
                ) from None
            except (OSError, http.client.HTTPException) as error:
                raise RequestFailed(f"Port {self.port} does not respond: {error}") from error
