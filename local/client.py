"""Requests to the services of the running portal."""

import http.client
import json
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

API = "/api/v1/airliner"


@dataclass(frozen=True)
class ApiResponse:
    """A response. `body` is parsed JSON, or None."""

    status: int
    headers: dict[str, str]
    body: Any
    seconds: float


def send(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    *,
    session_id: str | None = None,
    headers: dict[str, str] | None = None,
    timeout_seconds: float = 30,
) -> ApiResponse:
    """Send a request to a port of this machine, on a new connection.

    No proxy is used, whatever the environment says. Raises OSError or http.client.HTTPException
    without a response.
    """
    headers = {"Content-Type": "application/json", **(headers or {})}
    if session_id is not None:
        headers["Authorization"] = f"Bearer {session_id}"
    started_at = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
    with closing(connection):
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
    seconds = time.monotonic() - started_at
    parsed = json.loads(text) if text else None
    return ApiResponse(response.status, dict(response.getheaders()), parsed, seconds)
