"""E-mail: one message, by SMTP or, where there is no server, as a file."""

import logging
import os
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Protocol

from email_validator import validate_email

from .outcomes import Away, Delivered, Refused, Unreachable, readable
from .settings import NotificationSettings
from .texts import Text

logger = logging.getLogger(__name__)

_LONGEST_LINE = 998  # characters, RFC 5322
_STEPS = 3  # times DELIVERY_TIMEOUT_SECONDS: so long may all of it take
_GOODBYE = 2.0  # seconds


class Mailer(Protocol):
    """Takes messages on their way, to addresses that `deliverable` has made."""

    def send(self, message: EmailMessage, recipient: str) -> Delivered:
        """Send it. Raises Refused and Unreachable."""


def deliverable(address: str) -> str:
    """An address with its domain as DNS has it. ValueError for what is none, or looks like an
    encoded word: the library would decode it into whatever it hides, such as more headers.
    """
    if "=?" in address:
        raise ValueError("an address must not have =? in it")
    found = validate_email(address, check_deliverability=False)
    return f"{found.local_part}@{found.ascii_domain}"


def compose(text: Text, *, recipient: str, sender: str, message_id: str) -> EmailMessage:
    """A message in plain text and HTML. Every attempt at a notification makes the same Message-ID.

    ValueError for what would break a header: the library refuses line breaks in them.
    """
    message = EmailMessage(policy=SMTP if recipient.isascii() else SMTPUTF8)
    message["From"] = sender
    message["To"] = recipient
    # Here, too, it would decode what looks like an encoded word, and with it line breaks.
    message["Subject"] = text.subject.replace("=?", "= ?")
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
    message.set_content(text.plain, cte=_encoding(text.plain))
    message.add_alternative(text.html, subtype="html", cte=_encoding(text.html))
    return message


def _encoding(text: str) -> str:
    """As it is where that can be, so that links in it can be read and copied."""
    short = all(len(line) < _LONGEST_LINE for line in text.splitlines())
    return "7bit" if text.isascii() and short else "quoted-printable"


def mailer_for(settings: NotificationSettings) -> Mailer:
    """That of SMTP_HOST, or of a folder in DATA_DIR."""
    if settings.smtp_host:
        return SmtpMailer(settings)
    return FolderMailer(settings.data_dir / "mail")


class SmtpMailer:
    """An SMTP server, on a connection for each message."""

    def __init__(self, settings: NotificationSettings) -> None:
        self._settings = settings

    def send(self, message: EmailMessage, recipient: str) -> Delivered:
        """As Mailer. What the server has against the recipient or the message for good, by 5xx, is
        final; what it has against us may be mended, and then it goes out.
        """
        try:
            with self._connected() as server:
                self._hand_over(server, message, recipient)
        except smtplib.SMTPRecipientsRefused as error:
            code, said = error.recipients[recipient]
            raise _failure(code, said, "The server refused the recipient") from None
        except smtplib.SMTPDataError as error:
            reason = "The server refused the message"
            raise _failure(error.smtp_code, error.smtp_error, reason) from None
        except smtplib.SMTPResponseException as error:
            login = isinstance(error, smtplib.SMTPAuthenticationError)
            reason = f"The mail server refused {'our login' if login else 'us'}"
            raise Unreachable(reason, _answer(error.smtp_code, error.smtp_error)) from None
        except (smtplib.SMTPException, OSError) as error:
            raise Away(f"The mail server cannot be used: {_words(error)}") from None
        return Delivered("accepted by the mail server")

    def _hand_over(self, server: smtplib.SMTP, message: EmailMessage, recipient: str) -> None:
        server.ehlo_or_helo_if_needed()
        if not recipient.isascii() and not server.has_extn("smtputf8"):
            raise Refused("The mail server takes only addresses of ASCII letters")
        server.send_message(message, from_addr=self._settings.mail_from, to_addrs=[recipient])

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A server that knows us. How it says goodbye changes nothing: it has the mail, or not."""
        mine = self._settings
        kind = _TlsConnection if mine.smtp_security == "tls" else _Connection
        context = {"context": self._tls()} if mine.smtp_security == "tls" else {}
        server = kind(
            mine.smtp_host, mine.smtp_port, timeout=mine.delivery_timeout_seconds, **context
        )
        try:
            if mine.smtp_security == "starttls":
                server.starttls(context=self._tls())
            if mine.smtp_username:
                server.login(mine.smtp_username, mine.smtp_password.get_secret_value())
            yield server
        finally:
            server.leave()

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._settings.smtp_ca_file:
            try:
                context.load_verify_locations(self._settings.smtp_ca_file)
            except OSError as error:
                raise OSError(f"SMTP_CA_FILE cannot be read: {error}") from None
        return context


class _Connection(smtplib.SMTP):
    """One that ends when all of it has taken three times what each step may take.

    The library knows only that of a step, and begins it anew with every byte that comes: a server
    that says one now and then would hold a worker for hours.
    """

    def __init__(self, host: str, port: int, *, timeout: float, **options: Any) -> None:
        self._end = threading.Timer(_STEPS * timeout, self._hang_up)
        self._end.daemon = True
        self._end.start()
        try:
            super().__init__(host, port, timeout=timeout, **options)
        except BaseException:
            self._end.cancel()
            raise

    def leave(self) -> None:
        """Say goodbye, and do not wait long for the answer."""
        if self.sock is not None:
            with suppress(smtplib.SMTPException, OSError):
                self.sock.settimeout(_GOODBYE)
                self.quit()
        self.close()

    def close(self) -> None:
        self._end.cancel()
        super().close()

    def _hang_up(self) -> None:
        if self.sock is not None:
            with suppress(OSError):
                # Not SSLSocket's own, which would take the TLS from under who reads.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _TlsConnection(_Connection, smtplib.SMTP_SSL):
    """The same, with TLS from its beginning."""


class FolderMailer:
    """A folder in which each message is a file, for machines without a mail server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage, recipient: str) -> Delivered:  # noqa: ARG002
        """As Mailer. A message that is sent again overwrites its file."""
        name = message["Message-ID"].strip("<>").partition("@")[0] + ".eml"
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(f".{os.getpid()}.part")
            half.write_bytes(message.as_bytes())
            half.replace(path)
        except OSError as error:
            raise Unreachable(f"The mail cannot be written: {_words(error)}") from None
        logger.info("A mail is in %s", path)
        return Delivered(f"written to {name}")


def _failure(code: int, said: bytes | str, reason: str) -> Refused | Unreachable:
    if 500 <= code < 600:
        return Refused(reason, _answer(code, said))
    return Unreachable(reason, _answer(code, said))


def _answer(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return readable(f"{code} {text}")


def _words(error: Exception) -> str:
    return readable(str(error))[:200] or type(error).__name__
