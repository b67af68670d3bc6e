"""An endpoint of webhooks that takes calls, is too busy for some, and dies before it has said that
it took one.
"""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..points import Points
from ..setting import Setting
from .arrivals import Arrival, write_down

_TOO_BUSY = 0.1
_BEFORE_ANSWER = 0.03


class Server(ThreadingHTTPServer):
    """What all connections have in common."""

    def __init__(self, port: int, setting: Setting) -> None:
        super().__init__(("127.0.0.1", port), Endpoint)
        self.setting = setting
        self.points = Points(setting, "endpoint")
        self.chance = setting.random_for("calls")


class Endpoint(BaseHTTPRequestHandler):
    """What the library makes for each connection."""

    server: Server

    def do_POST(self) -> None:
        """One call."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.chance.random() < _TOO_BUSY and self.server.setting.is_armed:
            self._answer(503)
            return
        arrival = Arrival("webhook", body["data"]["subject"], self.headers["webhook-id"])
        write_down(self.server.setting.folder, arrival)
        self.server.points.die_perhaps("endpoint-killed:before-answer", _BEFORE_ANSWER)
        self._answer(204)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Say nothing."""

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main() -> None:
    """Serve until SIGTERM."""
    server = Server(int(os.environ["ENDPOINT_PORT"]), Setting.of_environment())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait({signal.SIGTERM})
    server.shutdown()


if __name__ == "__main__":
    main()
