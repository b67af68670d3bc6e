"""E-mails: their addresses and their messages."""

from datetime import UTC, datetime
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, Policy
from email.utils import format_datetime

from common.pyportal_common.fields import parse_email

from ..models import Notification
from ..preferences.service import Preferences
from . import texts
from .mailers import Mailer
from .outcomes import Delivered, PermanentFailure

_MAX_LINE_LENGTH = 998  # characters, RFC 5322


class _LinkHeader(UnstructuredHeader, BaseHeader):
    """A header with a link. The library would encode a long one, and no mail program decodes it."""

    max_count = 1

    def fold(self, *, policy: Policy) -> str:
        """The header in one line."""
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", _LinkHeader)
_ASCII = SMTP.clone(header_factory=_HEADERS)
_UTF8 = SMTPUTF8.clone(header_factory=_HEADERS)


class EmailChannel:
    """Sends notifications as e-mails."""

    def __init__(self, mailer: Mailer, sender: str, preferences: Preferences) -> None:
        self._mailer = mailer
        self._sender = sender
        self._preferences = preferences

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
                unsubscribe=self._preferences.unsubscribe_link(notification),
            )
        except ValueError as error:
            raise PermanentFailure(f"The e-mail cannot be composed: {error}") from None
        return self._mailer.send(message, recipient)


def compose(
    text: texts.Text,
    *,
    recipient: str,
    sender: str,
    message_id: str,
    unsubscribe: str | None = None,
) -> EmailMessage:
    """A message in plain text and HTML, with the same Message-ID in every attempt.

    `unsubscribe` is a link that mail programs may post to, for one click (RFC 8058).

    Raises ValueError for text that would break a header: the library refuses line breaks in them.
    """
    message = EmailMessage(policy=_ASCII if recipient.isascii() else _UTF8)
    message["From"] = sender
    message["To"] = recipient
    # The library would decode an encoded word in the subject too, with its line breaks.
    message["Subject"] = text.subject.replace("=?", "= ?")
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic replies
    if unsubscribe is not None:
        message["List-Unsubscribe"] = f"<{unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(text.plain, cte=_encoding(text.plain))
    message.add_alternative(text.html, subtype="html", cte=_encoding(text.html))
    return message


def _encoding(text: str) -> str:
    """Unencoded where possible, so that links can be read in the source."""
    short = all(len(line) < _MAX_LINE_LENGTH for line in text.splitlines())
    return "7bit" if text.isascii() and short else "quoted-printable"
