"""What the layer tells of itself, for whoever counts it."""

from typing import Literal

Trip = Literal["ok", "failed", "refused"]
CacheEvent = Literal["hit", "stale", "miss", "waited", "load", "unfilled", "failed", "invalidated"]


class Observer:
    """Told of what happens, in the thread where it does. This one keeps nothing.

    A subclass overrides what it wants to know, quickly and without raising.
    """

    def round_trip(self, outcome: Trip, seconds: float) -> None:
        """A command, script or pipeline was sent, and its answer came or did not.

        `refused` was answered with an error.
        """

    def breaker(self, *, is_open: bool) -> None:
        """The server became unavailable, or was found back."""

    def cache(self, kind: str, event: CacheEvent) -> None:
        """Something happened to a value of a kind: of its key all but the identifier.

        A read is a hit, also of a stale value, or a miss, also in an outage. A load follows some of
        these, or others are waited for; it failed, or was left unfilled where the value was
        invalidated meanwhile or Redis took no fill.
        """

    def limit(self, policy: str, *, allowed: bool, local: bool) -> None:
        """A policy let a request pass or refused it; `local` when this process counted alone."""

    def session(self, operation: str, outcome: str) -> None:
        """A session was to be created, loaded and so on: ok, missing, or why it was refused."""

    def idempotency(self, outcome: str) -> None:
        """A request came with an idempotency key: begun, in flight, mismatch, or done before.

        What was begun ends as finish, abandon, or late: the lease was over, or Redis away.
        """


SILENT = Observer()
