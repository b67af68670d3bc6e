"""Rate limits: what is defined, what clients have used, and clearing that."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import Limiter, RateLimit, Usage
from ..db import Act, Actor, Audit, LimitOverride, LimitOverrides
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

    def __init__(
        self,
        limiter: Limiter,
        declared: Mapping[str, RateLimit],
        overrides: LimitOverrides,
        audit: Audit,
        *,
        roles: Sequence[str],
    ) -> None:
        self._limiter = limiter
        self._by_name = declared
        self._overrides = overrides
        self._audit = audit
        self._roles = roles

    @property
    def declared(self) -> Sequence[RateLimit]:
        """The limits of the settings."""
        return list(self._by_name.values())

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
            for each in self.declared
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
        declared = self._declared(name)
        errors: dict[str, str] = {}
        try:
            _check_rate(declared.parse(rate), role)
        except ValueError as error:
            errors["rate"] = str(error)
        try:
            self._check_role(role)
        except Unknown as error:
            errors["role"] = str(error)
        return errors

    def set(self, actor: Actor, name: str, rate: str, *, role: str = "") -> LimitOverride:
        """Replace a rate, everywhere within two seconds: "10/60", or "10/60;shadow" to try it.

        Raises Unknown for an unknown limit, and OperationRefused if there are `errors_in` it.
        """
        errors = self.errors_in(name, rate, role)
        if errors:
            raise OperationRefused("; ".join(errors.values()))
        return self._overrides.set(self._declared(name).parse(rate), by=actor, role=role)

    def unset(self, actor: Actor, name: str, *, role: str = "") -> int:
        """Return to the rate of the settings, or for a role to that of all. 0 if it was so.

        Raises Unknown for a limit or role, but not if an override of another release is left.
        """
        cleared = self._overrides.clear(name, by=actor, role=role)
        if cleared is None:
            self._declared(name)
            self._check_role(role)
        return int(cleared is not None)

    def count_overrides(self, name: str, role: str) -> int:
        """How many overrides `unset` would end: 0 or 1. Raises Unknown, as that does."""
        count = sum(each.role == role for each in self.overrides(name))
        if not count:
            self._declared(name)
            self._check_role(role)
        return count

    def rate_of(self, name: str, role: str = "") -> str:
        """The rate that is in force for everybody, or for a role. Raises Unknown."""
        rates = {each.role: each.rate for each in self.overrides(name)}
        return rates.get(role) or rates.get("") or self._declared(name).rate

    def show(self, client: str) -> Sequence[Usage]:
        """What a client, such as "user:7", has used of each limit. Two round trips.

        An address is the client itself: "192.0.2.1", or of IPv6 its network, "2001:db8::/64".
        """
        used = self._limiter.usage([client], self.declared)
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
        found = self._by_name.get(name)
        if found is None:
            raise Unknown("rate limit", name, self._by_name)
        return found

    def _check_role(self, role: str) -> None:
        """Raise Unknown for a role that no user has. It is empty for everybody."""
        if role and role not in self._roles:
            raise Unknown("role", role, self._roles)

    def _usage(self, budget: int) -> Iterator[Usage]:
        clients = iter(set(self._limiter.identifiers(budget)))
        while some := list(islice(clients, _AT_ONCE)):
            yield from (x for x in self._limiter.usage(some, self.declared) if x.used)


def _check_rate(limit: RateLimit, role: str) -> None:
    """Raise ValueError for a rate that locks admins out. An empty `role` is all of them."""
    too_low = limit.limit * 60 < _LEAST_FOR_ADMINS * limit.window
    if limit.name == "admin" and role in {"", "admin"} and too_low and not limit.shadow:
        raise ValueError(
            "admins would lock themselves out; the limit admin must allow at least "
            f"{_LEAST_FOR_ADMINS} requests a minute"
        )
