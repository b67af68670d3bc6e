"""Limits of the hosts that deliveries call: so many calls, and few to one that does not answer."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Condition

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit
from common.pyportal_common.outbound import CircuitBreakers, CircuitOpen

from .outcomes import Unreachable

_MAX_JITTER_SECONDS = 10.0
_CALLS_OF_USER = 2
_HANGS_AFTER_SECONDS = 0.5
_PAUSE_SECONDS = 5.0


class HostBusy(Exception):
    """The host gets too many deliveries, or did not answer: wait `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        # Jitter: otherwise all that wait come back at once, and only one of them may go.
        self.seconds = seconds + random.uniform(0, _MAX_JITTER_SECONDS)  # noqa: S311


class CallsOfUsers:
    """At most two calls at a time to the webhooks of one user, in this process.

    All deliveries share the worker's threads, and one user's webhooks may be at a hundred hosts
    that hang. Calls that end within half a second only wait for each other.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = Condition()
        self._began: dict[int, list[float]] = {}  # the calls that run, by user

    @contextmanager
    def calling(self, user_id: int) -> Iterator[None]:
        """Surrounds a call. Raises HostBusy if two others hang."""
        began = self._enter(user_id)
        try:
            yield
        finally:
            with self._changed:
                self._began[user_id].remove(began)
                if not self._began[user_id]:
                    del self._began[user_id]
                self._changed.notify_all()

    def _enter(self, user_id: int) -> float:
        with self._changed:
            while len(running := self._began.get(user_id, [])) >= _CALLS_OF_USER:
                patience = max(running) + _HANGS_AFTER_SECONDS - self._clock()
                if patience <= 0:
                    raise HostBusy(_PAUSE_SECONDS)
                self._changed.wait(patience)
            began = self._clock()
            self._began.setdefault(user_id, []).append(began)
            return began


class Hosts:
    """The hosts of e-mails and webhooks."""

    def __init__(self, limiter: Limiter, rate_limit: RateLimit, breakers: CircuitBreakers) -> None:
        self._limiter = limiter
        self._rate_limit = rate_limit
        self._breakers = breakers
        self._users = CallsOfUsers()

    @contextmanager
    def calling(self, server: str, limited: str, *, user_id: int | None = None) -> Iterator[None]:
        """Surrounds a call to a server, whose calls are counted as those of `limited`.

        `user_id` is the user whose webhook it is. Raises HostBusy before the call. After
        Unreachable the server is called less often, and a webhook's only for its user: otherwise
        one user could hold up the webhooks of all others at a host.
        """
        of_user = nullcontext() if user_id is None else self._users.calling(user_id)
        breaker = server if user_id is None else f"{user_id} {server}"
        try:
            with of_user, self._breakers.calling(breaker, Unreachable):
                decision = self._limiter.hit(Charge(self._rate_limit, limited))
                if not decision.allowed:
                    raise HostBusy(decision.retry_after)
                yield
        except CircuitOpen as wait:
            raise HostBusy(wait.seconds) from None
