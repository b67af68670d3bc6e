"""SMTP servers for tests: a real one, and one that follows a script."""

import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.raw_servers import Conversation

USERNAME, PASSWORD = "portal", "a-password-of-the-portal"


class Inbox:
    """The messages that a real server has received. The queued answers are given first."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.logged_in: list[bool] = []  # whether the sender of each had logged in
        self.rcpt_answers: list[str] = []
        self.data_answers: list[str] = []

    @property
    def mails(self) -> list[EmailMessage]:
        """All messages, the oldest first."""
        return [
            message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]
            for envelope in self.envelopes
        ]

    async def handle_RCPT(  # noqa: N802  the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """Answer RCPT."""
        if self.rcpt_answers:
            return self.rcpt_answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  the library's name
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Answer the end of a message."""
        if self.data_answers:
            return self.data_answers.pop(0)
        self.logged_in.append(bool(session.authenticated))
        self.envelopes.append(envelope)
        return "250 OK"


def real_server(
    inbox: Inbox, context: ssl.SSLContext, *, security: str = "starttls", **options: Any
) -> Controller:
    """A server on 127.0.0.1 with TLS that accepts logins; with STARTTLS it requires one."""
    if security == "starttls":
        secured: dict[str, Any] = {
            "tls_context": context,
            "require_starttls": True,
            "auth_required": True,
        }
    else:  # the library does not know that such a connection has TLS from the first byte
        secured = {"ssl_context": context, "auth_require_tls": False}
    return Controller(
        inbox,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=_authenticate,
        **secured,
        **options,
    )


def _authenticate(_server: SMTP, _session: Session, _envelope: Any, _way: str, data: Any) -> Any:
    right = LoginPassword(USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=data == right, handled=False)


class Scripted:
    """A server without TLS that gives scripted answers, and 250 to all other commands.

    `answers` are by the first four letters of a command; "" is the banner and "." the end of a
    message. None ends the connection, "" hangs. `mails` has every message, accepted or not.
    """

    def __init__(self, **answers: str | None) -> None:
        self.answers: dict[str, str | None] = {"": "220 hello", "DATA": "354 go on", **answers}
        self.mails: list[bytes] = []
        self.slowly = False

    def talk(self, client: Conversation) -> None:
        """Answer the commands of one connection."""
        command = ""
        while self._answered(client, command):
            line = client.hear_line()
            if not line:
                return
            command = line[:4].decode().strip().upper()
            if command == "DATA" and self._answered(client, command):
                self._receive(client)
                command = "."

    def _receive(self, client: Conversation) -> None:
        mail = b""
        while not mail.endswith(b"\r\n.\r\n"):
            line = client.hear_line()
            if not line:
                return
            mail += line
        self.mails.append(mail)

    def _answered(self, client: Conversation, command: str) -> bool:
        answer = self.answers.get(command, "250 OK")
        if answer is None:
            return False
        if answer == "":
            client.wait()
        elif self.slowly:
            client.say_slowly((bytes([byte]) for byte in answer.encode() * 1000), every=0.1)
        else:
            client.say(f"{answer}\r\n".encode())
        return True
