"""Rate limits: sliding windows in Redis, exact over all processes."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from urllib.parse import unquote

from .. import keys
from ..client.client import RedisClient
from ..client.errors import RedisPoolExhausted, RedisUnavailable
from ..client.scripts import Script
from .local_windows import LocalWindows
from .overrides import NO_OVERRIDES, Overrides, in_force
from .policy import Charge, Decision, RateLimit, Usage, decide, unlimited
from .shadow_log import ShadowLog


class Limiter:
    """Rate limits that hold exactly over all processes, for one round trip a request.

    While Redis is unavailable each process counts on its own with the same limits, starting at
    zero; these counts are dropped afterwards. RedisPoolExhausted is not caught: a request that
    could not be counted is not allowed, unless all of its limits are shadow limits.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        service: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        """The client of the Redis database that counts."""
        self._service = service
        self.script = Script.load(__package__, "entries", "window")
        self._refund = Script.load(__package__, "entries", "refund")
        self._local = LocalWindows(clock=clock)
        self._overrides: Callable[[], Overrides] = lambda: NO_OVERRIDES
        self._shadow_log = ShadowLog(clock=clock)

    def follow(self, overrides: Callable[[], Overrides]) -> None:
        """Apply the overrides that this returns at each request. It must be fast and not raise."""
        self._overrides = overrides

    def hit(self, *charges: Charge) -> Decision:
        """Apply all charges, or none if any rate limit refuses. One round trip."""
        if len(charges) != 1 and not _are_different(charges):
            raise ValueError("hit needs charges, each with another rate limit or identifier")
        due = self.due(charges)
        try:
            return self.decision(due, self.client.run(self.script, *self.command(due)))
        except RedisUnavailable:
            return self._without_redis(due)
        except RedisPoolExhausted:
            if all(charge.rate_limit.shadow for charge in due):
                return self._without_redis(due)
            raise

    def due(self, charges: Sequence[Charge], role: str = "") -> tuple[Charge, ...]:
        """The charges with the rates that are now in force for a user of this role."""
        overrides = self._overrides()
        if not overrides:
            return tuple(charges)
        return tuple(in_force(overrides, charge, role) for charge in charges)

    def depends_on_role(self, charges: Sequence[Charge]) -> bool:
        """Whether the rates of these charges are not the same for all roles."""
        overrides = self._overrides()
        return bool(overrides) and any(
            role and charge.rate_limit.name == name
            for name, role in overrides
            for charge in charges
        )

    def refund(self, decision: Decision) -> None:
        """Undo the charges of an allowed request. One round trip.

        For limits on failures: `hit` before the attempt, `refund` after a success. The charges of
        other requests remain. Nothing is raised in an outage: the charges remain then.
        """
        receipt = decision.receipt
        if receipt is None:
            return
        if receipt.local:
            self._local.refund(receipt)
            return
        spent = (f"{charge.cost} {charge.rate_limit.field}" for charge in receipt.charges)
        with suppress(RedisUnavailable):
            self.client.run(self._refund, self._keys_of(receipt.charges), [receipt.at, *spent])

    def clear(self, identifier: str) -> None:
        """Remove the charges of `identifier` for every rate limit. One round trip."""
        self._local.clear(identifier)
        self.client.delete(keys.rate_limit(identifier, self._service))

    def usage(self, identifiers: Sequence[str], rate_limits: Sequence[RateLimit]) -> list[Usage]:
        """What `identifiers` have used of limits, without charging them. Two round trips.

        Without those limits that they have not used for long. For operators. Raises
        RedisUnavailable.
        """
        found = [
            (keys.rate_limit(charge.identifier, self._service), charge)
            for charge in self.due(self._stored(identifiers, rate_limits))
        ]
        # A request of more than the limit is refused, so nothing is charged.
        asked = [
            (
                self.script,
                [key],
                [f"{limit.limit + 1} {limit.limit} {limit.window} 0 {limit.field}"],
            )
            for key, charge in found
            for limit in (charge.rate_limit,)
        ]
        replies = self.client.run_many(asked) if asked else []
        return [
            Usage.of(charge.identifier, charge.rate_limit, remaining=reply[1], reset=reply[3])
            for (_, charge), reply in zip(found, replies, strict=True)
        ]

    def identifiers(self, budget: int) -> Iterator[str]:
        """Those that have used a limit, as a SCAN of about `budget` keys finds them."""
        prefix = keys.rate_limits_prefix(self._service)
        for key in self.client.scan(f"{prefix}*", budget=budget):
            if identifier := key.removeprefix(prefix):
                yield unquote(identifier)

    def command(self, charges: tuple[Charge, ...]) -> tuple[list[str], list[str]]:
        """The keys and arguments of the script `window` for these charges, which must be `due`."""
        arguments = [
            f"{charge.cost} {limit.limit} {limit.window} {limit.shadow:d} {limit.field}"
            for charge in charges
            for limit in (charge.rate_limit,)
        ]
        return self._keys_of(charges), arguments

    def decision(self, charges: tuple[Charge, ...], reply: list[int]) -> Decision:
        """The decision in a reply of the script `window`, run alone or within another script."""
        return self._observe(decide(charges, reply, local=False), charges, local=False)

    def _without_redis(self, charges: tuple[Charge, ...]) -> Decision:
        enforced = [charge.rate_limit for charge in charges if not charge.rate_limit.shadow]
        if any(limit.on_error == "closed" for limit in enforced):
            raise RedisUnavailable("Redis is unavailable, and a rate limit is closed without it")
        counted = tuple(charge for charge in charges if charge.rate_limit.on_error == "local")
        if counted:
            return self._observe(self._local.hit(counted), charges, local=True)
        return self._observe(unlimited(charges), charges, local=True)

    def _observe(self, decision: Decision, charges: tuple[Charge, ...], *, local: bool) -> Decision:
        observer = self.client.observer
        if not decision.allowed:
            observer.limit(decision.rate_limit, allowed=False, local=local)
            return decision
        for charge in charges:
            if charge not in decision.over:
                observer.limit(charge.rate_limit.name, allowed=True, local=local)
        for charge in decision.near:
            observer.limit_near(charge.rate_limit.name)
        for charge in decision.over:
            observer.shadow_refusal(charge.rate_limit.name, local=local)
            self._shadow_log.would_refuse(charge)
        return decision

    def _stored(self, identifiers: Sequence[str], rate_limits: Sequence[RateLimit]) -> list[Charge]:
        """The limits that have a state. Most clients use few of a service's limits."""
        if not identifiers or not rate_limits:
            return []
        fields = [each.field for each in rate_limits]
        states = self.client.read_bytes(
            *(("HMGET", keys.rate_limit(each, self._service), *fields) for each in identifiers)
        )
        return [
            Charge(rate_limit, identifier)
            for identifier, of_limits in zip(identifiers, states, strict=True)
            for rate_limit, state in zip(rate_limits, of_limits or (), strict=False)
            if state is not None
        ]

    def _keys_of(self, charges: tuple[Charge, ...]) -> list[str]:
        """One key if all charges have the same identifier, else one for each charge."""
        identifiers = [charge.identifier for charge in charges]
        if len(set(identifiers)) == 1:
            del identifiers[1:]
        return [keys.rate_limit(identifier, self._service) for identifier in identifiers]


def _are_different(charges: tuple[Charge, ...]) -> bool:
    windows = {(charge.identifier, charge.rate_limit.field) for charge in charges}
    return len(windows) == len(charges) > 0
