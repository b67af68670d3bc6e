"""Rate limits: sliding windows in Redis, exact over all processes."""

import time
from collections.abc import Callable
from contextlib import suppress

from .. import keys
from ..client.client import RedisClient
from ..client.errors import RedisUnavailable
from ..client.scripts import Script
from .local_windows import LocalWindows
from .policy import Charge, Decision, Receipt, decide


class Limiter:
    """Limits that hold exactly over all processes, for one round trip a request.

    While Redis is unavailable each process counts for itself, with the same limits and from
    nothing; when it is back, what was counted meanwhile is forgotten. RedisPoolExhausted is
    raised on: a request that could not be counted is never admitted.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        service: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._service = service
        self.script = Script.load(__package__, "window")
        self._refund = Script.load(__package__, "refund")
        self._local = LocalWindows(clock=clock)

    def hit(self, *charges: Charge) -> Decision:
        """Spend all charges, or none of them if any rate_limit refuses. One round trip."""
        windows = {(charge.identifier, charge.rate_limit.field) for charge in charges}
        if not charges or len(windows) < len(charges):
            raise ValueError("hit needs charges, each of another rate_limit or identifier")
        try:
            return self._hit_redis(charges)
        except RedisUnavailable:
            return self._without_redis(charges)

    def refund(self, decision: Decision) -> None:
        """Give back what an allowed request has spent, as if it had not been. One round trip.

        For limits on failures: reserve by `hit` before, refund after a success. What others have
        spent of the same limit stays. Nothing is raised in an outage: what was reserved then
        simply stays spent.
        """
        receipt = decision.receipt
        if receipt is None:
            return
        if receipt.local:
            self._local.refund(receipt)
            return
        arguments = [
            str(receipt.at),
            *(f"{charge.cost} {charge.rate_limit.field}" for charge in receipt.charges),
        ]
        with suppress(RedisUnavailable):
            self._client.run(self._refund, self._keys_of(receipt.charges), arguments)

    def clear(self, identifier: str) -> None:
        """Forget all that `identifier` has spent, whatever the rate_limit. One round trip."""
        self._local.clear(identifier)
        self._client.delete(keys.rate_limit(identifier, self._service))

    @property
    def client(self) -> RedisClient:
        """Of the Redis that counts."""
        return self._client

    def command(self, charges: tuple[Charge, ...]) -> tuple[list[str], list[str]]:
        """The keys and the arguments of the script window, for these charges."""
        arguments = [
            f"{charge.cost} {charge.rate_limit.limit} {charge.rate_limit.field}"
            for charge in charges
        ]
        return self._keys_of(charges), arguments

    def decision(self, charges: tuple[Charge, ...], answer: list[int]) -> Decision:
        """What the script answered, here or in another."""
        number, remaining, retry, reset, now = answer
        receipt = Receipt(charges, now, local=False)
        decision = decide(charges[number - 1].rate_limit, remaining, retry, reset, receipt)
        return self._told(decision, charges, local=False)

    def _hit_redis(self, charges: tuple[Charge, ...]) -> Decision:
        return self.decision(charges, self._client.run(self.script, *self.command(charges)))

    def _without_redis(self, charges: tuple[Charge, ...]) -> Decision:
        if any(charge.rate_limit.on_error == "closed" for charge in charges):
            raise RedisUnavailable(
                "Redis is unavailable, and one of these limits closes without it"
            )
        counted = tuple(charge for charge in charges if charge.rate_limit.on_error == "local")
        if counted:
            return self._told(self._local.hit(counted), charges, local=True)
        rate_limit = min((charge.rate_limit for charge in charges), key=lambda each: each.limit)
        decision = Decision(
            True, rate_limit.name, rate_limit.limit, rate_limit.limit, retry_after=0, reset_after=0
        )
        return self._told(decision, charges, local=True)

    def _told(self, decision: Decision, charges: tuple[Charge, ...], *, local: bool) -> Decision:
        names = [decision.rate_limit]
        if decision.allowed:
            names = [charge.rate_limit.name for charge in charges]
        for name in names:
            self._client.observer.limit(name, allowed=decision.allowed, local=local)
        return decision

    def _keys_of(self, charges: tuple[Charge, ...]) -> list[str]:
        """One key where the charges have one identifier, else one for each."""
        identifiers = [charge.identifier for charge in charges]
        if len(set(identifiers)) == 1:
            del identifiers[1:]
        return [keys.rate_limit(identifier, self._service) for identifier in identifiers]
