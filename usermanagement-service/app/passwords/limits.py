"""The limits on guessing passwords and on requesting reset links, over all clients."""

from collections.abc import Iterator
from contextlib import contextmanager

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit

from ..errors import InvalidCredentials, NameLocked, TooManyResetRequests, WrongPassword


class PasswordLimits:
    """Counts wrong passwords per name, and requests for reset links per e-mail address."""

    def __init__(self, limiter: Limiter, *, failures: RateLimit, reset_requests: RateLimit) -> None:
        self._limiter = limiter
        self._failures = failures
        self._reset_requests = reset_requests

    @contextmanager
    def counting_failures(self, name: str) -> Iterator[None]:
        """Count a wrong password in the block as a failed login of `name`, and nothing else.

        A stolen session must not be usable for guessing the password, and a mistyped e-mail
        address must not lock the user out. Raises NameLocked before the block. One round trip, and
        one more unless the password is wrong.
        """
        attempt = self._limiter.hit(Charge(self._failures, f"name:{name.lower()}"))
        if not attempt.allowed:
            raise NameLocked(attempt)
        try:
            yield
        except (WrongPassword, InvalidCredentials):
            raise
        except BaseException:
            self._limiter.refund(attempt)
            raise
        self._limiter.refund(attempt)

    def count_reset_request(self, email: str) -> None:
        """Count a request for a reset link, whether or not a user has the address.

        Raises TooManyResetRequests. One round trip.
        """
        decision = self._limiter.hit(Charge(self._reset_requests, f"email:{email.lower()}"))
        if not decision.allowed:
            raise TooManyResetRequests(decision)
