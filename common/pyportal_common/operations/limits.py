"""Rate limits: what is defined, what clients have used, and clearing that."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ..cache_handlers import Limiter, RateLimit, Usage
from ..db import Act, Actor, Audit

_AT_ONCE = 50  # clients of a round trip


@dataclass(frozen=True, slots=True)
class LimitView:
    """A rate limit of the settings: `limit` requests in `window` seconds."""

    name: str
    limit: int
    window: int
    without_redis: str


class LimitOperations:
    """The rate limits of a service. What reads or clears usage raises RedisUnavailable."""

    def __init__(
        self, limiter: Limiter, rate_limits: Mapping[str, RateLimit], audit: Audit
    ) -> None:
        self._limiter = limiter
        self._rate_limits = list(rate_limits.values())
        self._audit = audit

    def list(self) -> Sequence[LimitView]:
        """The limits that the settings define."""
        return [LimitView(x.name, x.limit, x.window, x.on_error) for x in self._rate_limits]

    def show(self, client: str) -> Sequence[Usage]:
        """What a client, such as "user=7", has used of each limit. One round trip."""
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

    def _usage(self, budget: int) -> Iterator[Usage]:
        clients = iter(set(self._limiter.identifiers(budget)))
        while some := list(islice(clients, _AT_ONCE)):
            yield from (x for x in self._limiter.usage(some, self._rate_limits) if x.used)
