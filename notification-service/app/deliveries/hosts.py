"""Limits of the hosts that deliveries call: so many calls, and few to one that does not answer."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit
from common.pyportal_common.outbound import CircuitBreakers, CircuitOpen

from .outcomes import Unreachable

_MAX_JITTER_SECONDS = 10.0


class HostBusy(Exception):
    """The host gets too many deliveries, or did not answer: wait `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        # Jitter: otherwise all that wait come back at once, and only one of them may go.
        self.seconds = seconds + random.uniform(0, _MAX_JITTER_SECONDS)  # noqa: S311


class Hosts:
    """The hosts of e-mails and webhooks."""

    def __init__(self, limiter: Limiter, rate_limit: RateLimit, breakers: CircuitBreakers) -> None:
        self._limiter = limiter
        self._rate_limit = rate_limit
        self._breakers = breakers

    @contextmanager
    def calling(self, server: str, limited: str) -> Iterator[None]:
        """Surrounds a call to a server, whose calls are counted as those of `limited`.

        Raises HostBusy before the call. After Unreachable the server is called less often.
        """
        try:
            with self._breakers.calling(server, Unreachable):
                decision = self._limiter.hit(Charge(self._rate_limit, limited))
                if not decision.allowed:
                    raise HostBusy(decision.retry_after)
                yield
        except CircuitOpen as wait:
            raise HostBusy(wait.seconds) from None
