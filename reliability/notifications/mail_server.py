"""A mail server that takes mails, puts some off, and dies before it has said that it took one."""

import os
import signal
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.controller import Controller

from ..points import Points
from ..setting import Setting
from .arrivals import Arrival, write_down

_PUTS_OFF = 0.1
_BEFORE_ANSWER = 0.03


class Inbox:
    """What the library calls."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._points = Points(setting, "smtp")
        self._chance = setting.random_for("mail")

    async def handle_DATA(  # noqa: N802  the library's name
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        """What it says to a mail."""
        if self._chance.random() < _PUTS_OFF and self._setting.is_armed:
            return "451 Come back later"
        mail = message_from_bytes(envelope.content, policy=policy.default)
        message_id = str(mail["Message-ID"]).strip("<>").partition("@")[0]
        write_down(self._setting.folder, Arrival("email", str(mail["Subject"]), message_id))
        self._points.die_perhaps("smtp-killed:before-answer", _BEFORE_ANSWER)
        return "250 OK"


def main() -> None:
    """Serve until SIGTERM."""
    setting = Setting.of_environment()
    port = int(os.environ["SMTP_PORT"])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # for the threads that follow, too
    server = Controller(Inbox(setting), hostname="127.0.0.1", port=port)
    server.start()
    signal.sigwait({signal.SIGTERM})
    server.stop()


if __name__ == "__main__":
    main()
