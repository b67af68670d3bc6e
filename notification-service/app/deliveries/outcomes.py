"""How an attempt at a delivery comes out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Delivered:
    """The other side took it. `answer` is what it said."""

    answer: str


def readable(said: str) -> str:
    """What others said, as one line that can be stored and shown anywhere."""
    line = " ".join(said.split())
    return "".join(sign if sign.isprintable() else "?" for sign in line)[:500]


class DeliveryFailed(Exception):
    """The other side did not take it. `answer` is what it said, if anything."""

    def __init__(self, reason: str, answer: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer


class Refused(DeliveryFailed):
    """It never will."""


class Unreachable(DeliveryFailed):
    """It may, later: in `retry_after` seconds at the soonest."""

    def __init__(self, reason: str, answer: str | None = None, retry_after: float = 0) -> None:
        super().__init__(reason, answer)
        self.retry_after = retry_after


class Away(Unreachable):
    """It did not answer."""


class Suppressed(Exception):
    """There is nobody to deliver it to. The message says why."""
