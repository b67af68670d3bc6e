"""The limit on guessing the codes of an authenticator app, over all clients."""

from common.pyportal_common.cache_handlers import Charge, Decision, Limiter, RateLimit


class CodeLimit:
    """Counts the wrong codes for each user, with the right password, whatever name was given."""

    def __init__(self, limiter: Limiter, limit: RateLimit) -> None:
        self._limiter = limiter
        self._limit = limit

    def hit(self, user_id: int) -> Decision:
        """Count an attempt. One round trip. Raises RedisUnavailable: nobody guesses uncounted."""
        return self._limiter.hit(Charge(self._limit, f"id:{user_id}"))

    def refund(self, attempt: Decision) -> None:
        """Do not count an attempt, because its code was right. One round trip."""
        self._limiter.refund(attempt)
