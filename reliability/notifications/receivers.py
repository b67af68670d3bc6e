"""`smtp`, a mail server, and `webhooks`, an HTTP server: they defer some deliveries, and sometimes
crash before they confirm one.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from email import message_from_bytes, policy
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from ..crash_points import CrashPoints
from ..settings import RunSettings, process_name
from .state import Delivery

_DEFERRED = 0.1
_CRASHES_BEFORE_RESPONSE = 0.03


class Receiver:
    """What both servers do with a delivery."""

    def __init__(self, role: str) -> None:
        settings, name = RunSettings.from_environment(), process_name()
        self._role = role
        self._journal = settings.journal(name)
        self._points = CrashPoints(settings, name, self._journal)

    def accepts(self, delivery: Delivery) -> bool:
        """Whether the delivery is recorded. False if it is deferred."""
        if self._points.maybe(_DEFERRED):
            return False
        delivery.record(self._journal)
        self._points.maybe_crash(f"{self._role}-killed:before-response", _CRASHES_BEFORE_RESPONSE)
        return True

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """The response to an e-mail. Called by aiosmtpd."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        message_id = str(mail["Message-ID"]).strip("<>").partition("@")[0]
        delivery = Delivery("email", str(mail["Subject"]), message_id)
        return "250 OK" if self.accepts(delivery) else "451 Try again later"


class WebhookHandler(BaseHTTPRequestHandler):
    """One connection of the HTTP server."""

    def __init__(self, receiver: Receiver, *args: Any) -> None:
        self._receiver = receiver
        super().__init__(*args)

    def do_POST(self) -> None:
        """One webhook: a message, or an event to /event/0 or /event/1."""
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["data"]
        channel = self.path.strip("/")
        key = data["subject"] if channel == "webhook" else data["username"]
        delivery = Delivery(channel, key, self.headers["webhook-id"])
        self.send_response(204 if self._receiver.accepts(delivery) else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Log nothing."""


def _start_smtp() -> Callable[[], None]:
    port = int(os.environ["SMTP_PORT"])
    server = Controller(Receiver("smtp"), hostname="127.0.0.1", port=port)
    server.start()
    return server.stop


def _start_webhooks() -> Callable[[], None]:
    address = ("127.0.0.1", int(os.environ["WEBHOOK_PORT"]))
    server = ThreadingHTTPServer(address, partial(WebhookHandler, Receiver("webhooks")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.shutdown


if __name__ == "__main__":
    # Blocked in the threads that the servers start as well: this thread waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    stop = {"smtp": _start_smtp, "webhooks": _start_webhooks}[sys.argv[1]]()
    signal.sigwait({signal.SIGTERM})
    stop()
