"""The limit on changes of e-mail addresses, each of which mails a link."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit

from ..errors import TooManyEmailChanges


class EmailChanges:
    """Counts the changes of each user's address, whoever makes them."""

    def __init__(self, limiter: Limiter, limit: RateLimit) -> None:
        self._limiter = limiter
        self._limit = limit

    @contextmanager
    def counting(self, user_id: int) -> Iterator[Callable[[], None]]:
        """Count a change, if the block calls what it gets.

        Raises TooManyEmailChanges before the block. One round trip, and one more if the block does
        not change the address.
        """
        attempt = self._limiter.hit(Charge(self._limit, f"id:{user_id}"))
        if not attempt.allowed:
            raise TooManyEmailChanges(attempt)
        changed = False

        def count() -> None:
            nonlocal changed
            changed = True

        try:
            yield count
        finally:
            if not changed:
                self._limiter.refund(attempt)
