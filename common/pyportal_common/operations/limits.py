"""Rate limits: what is defined, what clients have used, and clearing that."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import Limiter, RateLimit, Usage
from ..db import (
    Act,
    Actor,
    Audit,
    LimitOverride,
    LimitOverrides,
    RateLimitNotFound,
    check_role,
)
from .errors import OperationRefused, Unknown
from .event_counts import EventCounts

_DECISIONS = ("allowed", "refused", "near", "would_refuse")
_AT_ONCE = 50  # clients of a round trip
_LEAST_FOR_ADMINS = 30  # requests a minute


@dataclass(frozen=True, slots=True)
class LimitView:
    """A rate limit of the settings, such as 10/60, what replaces it, and its decisions.

    `would_refuse` are those of a shadow limit. After those that are `near` little was left.
    """

    name: str
    rate: str
    without_redis: str
    overrides: Sequence[str]
    allowed: int
    refused: int
    near: int
    would_refuse: int


class LimitOperations:
    """The rate limits of a service. What reads or clears usage raises RedisUnavailable."""

    def __init__(self, limiter: Limiter, overrides: LimitOverrides, audit: Audit) -> None:
        self._limiter = limiter
        self._rate_limits = list(overrides.declared.values())
        self._overrides = overrides
        self._audit = audit

    @property
    def declared(self) -> Sequence[RateLimit]:
        """The limits of the settings."""
        return self._rate_limits

    def list(self, counts: EventCounts) -> Sequence[LimitView]:
        """The limits that the settings define, with their overrides unless SQL is down."""
        by_name = defaultdict[str, list[str]](list)
        with suppress(SQLAlchemyError):
            for each in self._overrides.list():
                role = f" for {each.role}" if each.role else ""
                by_name[each.name].append(f"{each.rate}{role} by {each.changed_by}")
        return [
            LimitView(
                each.name,
                each.rate,
                each.on_error,
                by_name[each.name],
                **{decision: counts.limits[each.name][decision] for decision in _DECISIONS},
            )
            for each in self._rate_limits
        ]

    def find(self, name: str, counts: EventCounts) -> LimitView:
        """A limit that the settings define. Raises Unknown."""
        self._declared(name)
        return next(each for each in self.list(counts) if each.name == name)

    def overrides(self, name: str) -> Sequence[LimitOverride]:
        """What replaces the rate of a limit. Raises SQLAlchemyError."""
        return [each for each in self._overrides.list() if each.name == name]

    def errors_in(self, name: str, rate: str, role: str) -> Mapping[str, str]:
        """What is wrong with an override, by field: `rate` and `role`. Raises Unknown."""
        self._declared(name)
        checks: dict[str, Callable[[], object]] = {
            "rate": lambda: self._check_rate(name, rate),
            "role": lambda: check_role(role),
        }
        errors: dict[str, str] = {}
        for field, check in checks.items():
            try:
                check()
            except ValueError as error:
                errors[field] = str(error)
        return errors

    def set(self, actor: Actor, name: str, rate: str, *, role: str = "") -> LimitOverride:
        """Replace a rate, everywhere within two seconds: "10/60", or "10/60;shadow" to try it.

        Raises OperationRefused for an unknown limit, for what is no rate or no role, and for a rate
        that keeps admins from changing it again.
        """
        try:
            self._check_rate(name, rate)
            return self._overrides.set(name, rate, by=actor, role=role)
        except (RateLimitNotFound, ValueError) as error:
            raise OperationRefused(str(error)) from None

    def unset(self, actor: Actor, name: str, *, role: str = "") -> int:
        """Return to the rate of the settings, or for a role to that of all. 0 if it was so.

        Raises Unknown, but not for an override that is left of a limit of another release.
        """
        cleared = self._overrides.clear(name, by=actor, role=role)
        if cleared is None:
            self._declared(name)
        return int(cleared is not None)

    def count_overrides(self, name: str, role: str) -> int:
        """How many overrides `unset` would end: 0 or 1. Raises Unknown, as that does."""
        roles = [each.role for each in self.overrides(name)]
        if not roles:
            self._declared(name)
        return roles.count(role)

    def rate_of(self, name: str, role: str = "") -> str:
        """The rate that is in force for everybody, or for a role. Raises Unknown."""
        rates = {each.role: each.rate for each in self.overrides(name)}
        return rates.get(role) or rates.get("") or self._declared(name).rate

    def show(self, client: str) -> Sequence[Usage]:
        """What a client, such as "user:7", has used of each limit. Two round trips.

        An address is the client itself: "192.0.2.1", or of IPv6 its network, "2001:db8::/64".
        """
        used = self._limiter.usage([client], self._rate_limits)
        return [each for each in used if each.used]

    def nearest(self, *, limit: int = 50, budget: int = 10_000) -> Sequence[Usage]:
        """Who is nearest to a limit, among the clients that a SCAN of `budget` keys finds."""
        return heapq.nlargest(limit, self._usage(budget), key=lambda each: each.used / each.limit)

    def clear(self, actor: Actor, client: str) -> int:
        """Forget what a client has used. Returns of how many limits. Recorded before it is done."""
        count = len(self.show(client))
        self._audit.record_first(actor, Act("limits clear", client), count=count)
        self._limiter.clear(client)
        return count

    def _declared(self, name: str) -> RateLimit:
        """Raise Unknown for a limit that the settings do not define."""
        found = self._overrides.declared.get(name)
        if found is None:
            raise Unknown("rate limit", name, self._overrides.declared)
        return found

    def _check_rate(self, name: str, rate: str) -> None:
        """Raise ValueError for what is no rate, or one that locks admins out."""
        declared = self._overrides.declared.get(name)
        if declared is None:
            return
        limit = declared.parse(rate)
        too_low = limit.limit * 60 < _LEAST_FOR_ADMINS * limit.window
        if name == "admin" and too_low and not limit.shadow:
            raise ValueError(
                "admins would lock themselves out; the limit admin must allow at least "
                f"{_LEAST_FOR_ADMINS} requests a minute"
            )

    def _usage(self, budget: int) -> Iterator[Usage]:
        clients = iter(set(self._limiter.identifiers(budget)))
        while some := list(islice(clients, _AT_ONCE)):
            yield from (x for x in self._limiter.usage(some, self._rate_limits) if x.used)
