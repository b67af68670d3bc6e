"""How attempts at jobs end."""

from typing import Literal, Self

OutcomeName = Literal["done", "failed", "cancelled", "retry", "later"]


class Outcome(Exception):
    """How an attempt at a job ends: an argument of `Run.transaction`, or raised.

    As an argument it is committed together with the effects of the block. Raised, it ends the
    attempt without those of the block that it leaves.
    """

    def __init__(self, name: OutcomeName, error: str | None = None, *, after: float = 0.0) -> None:
        super().__init__(name, error)
        self.name = name
        self.error = error
        """Shown to users."""
        self.after = after
        """Seconds until the next attempt, at least."""

    @classmethod
    def done(cls) -> Self:
        """The job is done."""
        return cls("done")

    @classmethod
    def failed(cls, error: str) -> Self:
        """The job cannot be done, now or later."""
        return cls("failed", error)

    @classmethod
    def cancelled(cls, reason: str | None = None) -> Self:
        """The job was cancelled while it ran, or is no longer needed for this reason."""
        return cls("cancelled", reason)

    @classmethod
    def retry(cls, error: str, *, after: float = 0.0) -> Self:
        """Another attempt, after a pause of `after` seconds or more; the last one fails."""
        return cls("retry", error, after=after)

    @classmethod
    def later(cls, after: float = 0.0) -> Self:
        """Another attempt in `after` seconds. This one does not count."""
        return cls("later", after=after)


class LeaseLost(Exception):
    """The claim has ended: another worker has or had the job, and this one may change nothing."""
