"""E-mails: their addresses and their messages."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

from common.pyportal_common.fields import parse_email

from ..models import Notification
from . import texts
from .mailers import Mailer
from .outcomes import Delivered, PermanentFailure

_MAX_LINE_LENGTH = 998  # characters, RFC 5322


class EmailChannel:
    """Sends notifications as e-mails."""

    def __init__(self, mailer: Mailer, sender: str) -> None:
        self._mailer = mailer
        self._sender = sender

    def host(self, address: str) -> str:
        """The domain whose deliveries are limited."""
        return address.rpartition("@")[2].lower()

    def server(self, address: str) -> str:  # noqa: ARG002
        """The name of the circuit breaker: one server takes all e-mails."""
        return "the mail server"

    def send(self, notification: Notification, address: str) -> Delivered:
        """Send the e-mail. Raises PermanentFailure and TransientFailure."""
        text = texts.text_of(notification)
        try:
            parsed = parse_email(address)
            recipient = f"{parsed.local_part}@{parsed.ascii_domain}"
            message = compose(
                text,
                recipient=recipient,
                sender=self._sender,
                message_id=notification.message_id,
            )
        except ValueError as error:
            raise PermanentFailure(f"The e-mail cannot be composed: {error}") from None
        return self._mailer.send(message, recipient)


def compose(text: texts.Text, *, recipient: str, sender: str, message_id: str) -> EmailMessage:
    """A message in plain text and HTML, with the same Message-ID in every attempt.

    Raises ValueError for text that would break a header: the library refuses line breaks in them.
    """
    message = EmailMessage(policy=SMTP if recipient.isascii() else SMTPUTF8)
    message["From"] = sender
    message["To"] = recipient
    # The library would decode an encoded word in the subject too, with its line breaks.
    message["Subject"] = text.subject.replace("=?", "= ?")
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic replies
    message.set_content(text.plain, cte=_encoding(text.plain))
    message.add_alternative(text.html, subtype="html", cte=_encoding(text.html))
    return message


def _encoding(text: str) -> str:
    """Unencoded where possible, so that links can be read in the source."""
    short = all(len(line) < _MAX_LINE_LENGTH for line in text.splitlines())
    return "7bit" if text.isascii() and short else "quoted-printable"
