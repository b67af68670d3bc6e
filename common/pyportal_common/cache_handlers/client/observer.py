"""What the layer reports about its own work."""

from typing import Literal

AuditOutcome = Literal["same", "missing", "changing", "stale", "failed"]
Trip = Literal["ok", "failed", "refused"]
CacheEvent = Literal["hit", "stale", "miss", "waited", "load", "unfilled", "failed", "invalidated"]


class Observer:
    """Receives the events of the layer, in the thread where they happen. This one ignores them.

    A subclass overrides the methods that it needs. They must be fast and must not raise.
    """

    def round_trip(self, outcome: Trip, seconds: float) -> None:
        """A command, script or pipeline was sent; `refused` means that the reply was an error."""

    def breaker(self, *, is_open: bool) -> None:
        """The server became unavailable, or available again."""

    def failover(self) -> None:
        """Sentinels have replaced the server by another one, as this process noticed."""

    def refused(self, code: str) -> None:
        """The server answered with an error; `code` is its first word."""

    def refusing(self, code: str, *, is_refusing: bool) -> None:
        """The server began to refuse commands with this code, or accepts them again."""

    def cache(self, kind: str, event: CacheEvent) -> None:
        """An event of a cached value. `kind` is its key without the identifier.

        A read is a hit, also of a stale value, or a miss, also in an outage. After a miss a reader
        loads the value or waits for another. A load fails, or is left unfilled if the value was
        invalidated meanwhile or Redis did not accept it.
        """

    def trust_lost(self) -> None:
        """This process ceased to use what Redis holds: it could not renew its trust in it."""

    def limit(self, name: str, *, allowed: bool, local: bool) -> None:
        """A rate limit allowed or refused a request; `local` if this process counted alone.

        Not for what a shadow limit would have refused: see `shadow_refusal`.
        """

    def limit_near(self, name: str) -> None:
        """A rate limit allowed a request, and less than a fifth of it is left."""

    def shadow_refusal(self, name: str, *, local: bool) -> None:
        """A shadow limit would have refused a request; `local` if this process counted alone."""

    def session(self, operation: str, outcome: str) -> None:
        """A session operation ended: ok, missing, or the reason for which it was refused."""

    def audit(self, kind: str, outcome: AuditOutcome) -> None:
        """A cached value was compared with SQL: see CacheMonitor."""

    def staleness(self, kind: str, seconds: float) -> None:
        """For how long the oldest known stale value of a kind has been stale; 0 if none is."""

    def failing_invalidations(self, number: int) -> None:
        """So many recorded invalidations are refused by Redis and retried."""


SILENT = Observer()
