"""Sends requests to an example, and prints what it answers: python -m examples.replay shop.peers

The requests come as JSON from standard input, and the answers go as JSON to standard output.
"""

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

COMPARED = ("Content-Type", "Vary", "X-RateLimit-Limit", "X-RateLimit-Remaining")


def main() -> None:
    """Answer the requests, each by a client of the name that it gives."""
    module = importlib.import_module(f"examples.{sys.argv[1]}")
    print(json.dumps(list(answers(module, json.load(sys.stdin)))))


def answers(module: ModuleType, requests: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the app of the module answers, and how often it has read its data by then."""
    clients: dict[str, FlaskClient] = {}
    reads = _reads_of(module)
    for each in requests:
        client = clients.setdefault(each["client"], module.app.test_client())
        response = client.open(
            each["path"], method=each["method"], json=each["json"], headers=each["headers"]
        )
        yield {
            "status": response.status_code,
            "body": response.get_data(as_text=True),
            "headers": _headers_of(response),
            "reads": reads(),
        }


def _reads_of(module: ModuleType) -> Callable[[], int]:
    modules = [each for each in vars(module).values() if isinstance(each, ModuleType)]
    return next((each.reads for each in modules if hasattr(each, "reads")), lambda: 0)


def _headers_of(response: TestResponse) -> dict[str, str]:
    """The headers that the two versions must share, without ids and times."""
    headers = {name: response.headers[name] for name in COMPARED if name in response.headers}
    if response.status_code == 429:
        headers["Retry-After"] = "given" if int(response.headers["Retry-After"]) > 0 else "wrong"
    cookies = response.headers.getlist("Set-Cookie")
    headers["Set-Cookie"] = ", ".join(sorted(map(_attributes, cookies)))
    return headers


def _attributes(cookie: str) -> str:
    """A cookie without its value and times."""
    return "; ".join(sorted(re.sub(r"^(session|Expires)=.*", r"\1", p) for p in cookie.split("; ")))


if __name__ == "__main__":
    main()
