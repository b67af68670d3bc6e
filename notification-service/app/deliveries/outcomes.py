"""The outcomes of a delivery attempt."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Delivered:
    """The mail server or the webhook accepted the message. `answer` is what it answered."""

    answer: str


class DeliveryFailed(Exception):
    """The message was not accepted. `answer` is what the other side answered, if anything."""

    def __init__(self, reason: str, answer: str | None = None, retry_after: float = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer
        self.retry_after = retry_after


class PermanentFailure(DeliveryFailed):
    """The message will never be accepted."""


class TransientFailure(DeliveryFailed):
    """The message may be accepted later, at the earliest in `retry_after` seconds."""


class Unreachable(TransientFailure):
    """The mail server or the webhook did not answer."""


class RecipientGone(Exception):
    """The user to notify does not exist any more."""


class NotWanted(Exception):
    """The user does not want to be notified of this on this channel."""


def printable(text: str) -> str:
    """Text from elsewhere as one line of at most 500 characters, safe to store and to show."""
    line = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in line)[:500]
