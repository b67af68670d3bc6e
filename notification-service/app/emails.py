"""E-mail: one message, by SMTP or, where there is no server, as a file."""

import logging
import os
import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol

from .outcomes import Delivered, Refused, Unreachable
from .settings import NotificationSettings
from .texts import Text

logger = logging.getLogger(__name__)

_LONGEST_LINE = 998  # characters, RFC 5322


class Mailer(Protocol):
    """Takes messages on their way."""

    def send(self, message: EmailMessage, recipient: str) -> Delivered:
        """Send it. Raises Refused and Unreachable."""


def compose(text: Text, *, recipient: str, sender: str, message_id: str) -> EmailMessage:
    """A message in plain text and HTML. Every attempt at a notification makes the same Message-ID.

    ValueError for what would break a header: the library refuses line breaks in them.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = text.subject
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
        """As Mailer. Errors 5xx are final, all others may pass."""
        try:
            with self._connect() as server:
                sender = self._settings.mail_from
                server.send_message(message, from_addr=sender, to_addrs=[recipient])
        except smtplib.SMTPRecipientsRefused as error:
            code, said = error.recipients[recipient]
            raise _failure(code, said, "The server refused the recipient") from None
        except smtplib.SMTPAuthenticationError as error:  # ours to mend: then it goes out
            raise Unreachable(
                "The mail server refused our login", _answer(error.smtp_code, error.smtp_error)
            ) from None
        except smtplib.SMTPResponseException as error:
            raise _failure(
                error.smtp_code, error.smtp_error, "The server refused the message"
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise Unreachable(f"The mail server cannot be used: {_words(error)}") from None
        return Delivered("accepted by the mail server")

    def _connect(self) -> smtplib.SMTP:
        mine = self._settings
        timeout = mine.delivery_timeout_seconds
        server: smtplib.SMTP
        if mine.smtp_security == "tls":
            server = smtplib.SMTP_SSL(
                mine.smtp_host, mine.smtp_port, timeout=timeout, context=self._tls()
            )
        else:
            server = smtplib.SMTP(mine.smtp_host, mine.smtp_port, timeout=timeout)
        try:
            if mine.smtp_security == "starttls":
                server.starttls(context=self._tls())
            if mine.smtp_username:
                server.login(mine.smtp_username, mine.smtp_password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._settings.smtp_ca_file:
            context.load_verify_locations(self._settings.smtp_ca_file)
        return context


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
    return f"{code} {' '.join(text.split())}"[:500]


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
