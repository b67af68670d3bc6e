"""A WSGI application that accepts every notification at once, alone or in a batch."""

import json
from collections.abc import Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Respond as Notification does, and store nothing."""
    body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    is_batch = environ["PATH_INFO"].endswith("/batch")
    results = [{"outcome": "created", "status": 202} for _ in body.get("items", ())]
    text = json.dumps({"items": results} if is_batch else {}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
    start_response("200 OK" if is_batch else "202 ACCEPTED", headers)
    return [text]
