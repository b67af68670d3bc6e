"""Mailers: an SMTP server, or a folder of files where there is none."""

import logging
import os
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from ..settings import NotificationSettings
from .outcomes import Delivered, PermanentFailure, TransientFailure, Unreachable, printable

logger = logging.getLogger(__name__)

_MAX_TIMEOUTS = 3  # a connection may take this many times DELIVERY_TIMEOUT_SECONDS in total
_QUIT_TIMEOUT_SECONDS = 2.0
_OK = 250


class SmtpMailer:
    """An SMTP server, with a new connection for each message."""

    def __init__(self, settings: NotificationSettings) -> None:
        self._settings = settings

    def send(self, message: EmailMessage, recipient: str) -> Delivered:
        """Send a message. Raises PermanentFailure and TransientFailure.

        A 5xx about the recipient or the message is permanent. A 5xx about the connection, the login
        or the sender is transient: it can be fixed here.
        """
        try:
            with self._connection() as server:
                self._transmit(server, message, recipient)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = error.recipients[recipient]
            raise _failure(code, text, "The server refused the recipient") from None
        except smtplib.SMTPDataError as error:
            reason = "The server refused the message"
            raise _failure(error.smtp_code, error.smtp_error, reason) from None
        except (smtplib.SMTPException, OSError) as error:
            raise _transient(error) from None
        return Delivered("accepted by the mail server")

    def check(self) -> None:
        """Connect, log in and send NOOP, but no message. Raises TransientFailure."""
        try:
            with self._connection() as server:
                code, text = server.noop()
        except (smtplib.SMTPException, OSError) as error:
            raise _transient(error) from None
        if code != _OK:
            raise TransientFailure("The mail server refused NOOP", _answer(code, text))

    def _transmit(self, server: smtplib.SMTP, message: EmailMessage, recipient: str) -> None:
        server.ehlo_or_helo_if_needed()
        if not recipient.isascii() and not server.has_extn("smtputf8"):
            raise PermanentFailure("The mail server accepts only ASCII addresses")
        server.send_message(message, from_addr=self._settings.mail_from, to_addrs=[recipient])

    @contextmanager
    def _connection(self) -> Iterator[smtplib.SMTP]:
        """A connection that has logged in. Errors when it ends do not affect the message."""
        settings = self._settings
        tls = settings.smtp_security == "tls"
        connect = _TlsConnection if tls else _Connection
        context = {"context": self._tls_context()} if tls else {}
        server = connect(
            settings.smtp_host,
            settings.smtp_port,
            timeout=settings.delivery_timeout_seconds,
            **context,
        )
        try:
            if settings.smtp_security == "starttls":
                server.starttls(context=self._tls_context())
            if settings.smtp_username:
                server.login(settings.smtp_username, settings.smtp_password.get_secret_value())
            yield server
        finally:
            server.leave()

    def _tls_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._settings.smtp_ca_file:
            try:
                context.load_verify_locations(self._settings.smtp_ca_file)
            except OSError as error:
                raise OSError(f"SMTP_CA_FILE cannot be read: {error}") from None
        return context


class _Connection(smtplib.SMTP):
    """A connection that is shut down after three times the timeout of one step.

    The library restarts its timeout with every byte: a server that sends a byte now and then would
    occupy a worker for hours.
    """

    def __init__(self, host: str, port: int, *, timeout: float, **options: Any) -> None:
        self._deadline = threading.Timer(_MAX_TIMEOUTS * timeout, self._shut_down)
        self._deadline.daemon = True
        self._deadline.start()
        try:
            super().__init__(host, port, timeout=timeout, **options)
        except BaseException:
            self._deadline.cancel()
            raise

    def leave(self) -> None:
        """Send QUIT, and wait only briefly for the answer."""
        if self.sock is not None:
            with suppress(smtplib.SMTPException, OSError):
                self.sock.settimeout(_QUIT_TIMEOUT_SECONDS)
                self.quit()
        self.close()

    def close(self) -> None:
        self._deadline.cancel()
        super().close()

    def _shut_down(self) -> None:
        if self.sock is not None:
            with suppress(OSError):
                # Not SSLSocket.shutdown, which removes the TLS layer while another thread reads.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _TlsConnection(_Connection, smtplib.SMTP_SSL):
    """The same, with TLS from the first byte."""


class FolderMailer:
    """A folder with a file for each message, for machines without a mail server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage, recipient: str) -> Delivered:  # noqa: ARG002
        """Write a message; again to the same file. Raises TransientFailure."""
        name = message["Message-ID"].strip("<>").partition("@")[0] + ".eml"
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}.part")
            partial.write_bytes(message.as_bytes())
            partial.replace(path)
        except OSError as error:
            raise TransientFailure(f"The e-mail cannot be written: {_describe(error)}") from None
        logger.info("Wrote an e-mail to %s", path)
        return Delivered(f"written to {name}")


Mailer = SmtpMailer | FolderMailer


def mailer_for(settings: NotificationSettings) -> Mailer:
    """The SMTP server of SMTP_HOST; a folder in DATA_DIR if that is empty."""
    if settings.smtp_host:
        return SmtpMailer(settings)
    return FolderMailer(settings.data_dir / "mail")


def _transient(error: Exception) -> TransientFailure:
    if isinstance(error, smtplib.SMTPResponseException):
        login = isinstance(error, smtplib.SMTPAuthenticationError)
        reason = f"The mail server refused {'our login' if login else 'us'}"
        return TransientFailure(reason, _answer(error.smtp_code, error.smtp_error))
    return Unreachable(f"The mail server cannot be used: {_describe(error)}")


def _failure(code: int, text: bytes | str, reason: str) -> PermanentFailure | TransientFailure:
    kind = PermanentFailure if 500 <= code < 600 else TransientFailure
    return kind(reason, _answer(code, text))


def _answer(code: int, text: bytes | str) -> str:
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return printable(f"{code} {decoded}")


def _describe(error: Exception) -> str:
    return printable(str(error))[:200] or type(error).__name__
