"""A webhook endpoint for tests."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from threading import Event, Semaphore
from typing import Any

from common.pyportal_common.testing.raw_servers import Conversation

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Call:
    """A request that the endpoint received."""

    headers: dict[str, str]
    body: bytes

    def check_signature(self, secret: str) -> None:
        """Check the signature as the specification of Standard Webhooks demands."""
        assert secret.startswith("whsec_")
        key = base64.b64decode(secret[len("whsec_") :])
        content = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}."
        expected = hmac.new(key, content.encode() + self.body, hashlib.sha256).digest()
        versions = [one.split(",", 1) for one in self.headers["webhook-signature"].split(" ")]
        assert ["v1", base64.b64encode(expected).decode()] in versions
        assert abs(time.time() - int(self.headers["webhook-timestamp"])) < 60


@dataclass
class Endpoint:
    """Gives the responses in turn, and the last of them to every further call."""

    responses: list[bytes] = field(default_factory=lambda: [OK])
    calls: list[Call] = field(default_factory=list)
    url: str = ""

    def talk(self, client: Conversation) -> None:
        """Answer one request."""
        head, _, body = client.hear().partition(b"\r\n\r\n")
        pairs = [line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:]]
        self.calls.append(Call({name.lower(): value for name, value in pairs}, body))
        client.say(self.responses[0] if len(self.responses) == 1 else self.responses.pop(0))


class HangingEndpoint:
    """Answers no call while a worker delivers."""

    def __init__(self) -> None:
        self._calls: list[Conversation] = []
        self._arrived = Semaphore(0)
        self._released = Event()

    def talk(self, client: Conversation) -> None:
        """Hold one call."""
        client.hear()
        self._calls.append(client)
        self._arrived.release()
        self._released.wait()

    def held_while(self, deliver: Callable[[], object]) -> int:
        """The number of calls that hold a thread, of eight, when six have found nothing to do."""
        with ThreadPoolExecutor(8) as threads:
            ended = as_completed([threads.submit(deliver) for _ in range(8)])
            for _ in range(6):
                next(ended)
            for _ in range(2):
                self._arrived.acquire(timeout=10)
            held = len(self._calls)
            self._released.set()
        return held


def response(status: int, *headers: str, body: bytes = b"reason") -> bytes:
    """A response, byte by byte."""
    lines = [f"HTTP/1.1 {status} So", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def note_to(url: str) -> dict[str, Any]:
    """A notification to a webhook."""
    text = {"subject": "Admission", "message": "It is gate 7."}
    return {"channel": "webhook", "recipient": url, **text}
