"""How a kind of value is cached."""

import random
from dataclasses import dataclass
from typing import Any

from ..client.values import milliseconds
from .shapes import PLAIN_JSON, Shape


@dataclass(frozen=True, slots=True)
class Policy:
    """How a kind of value is cached. Times are seconds.

    ttl           how long a value is fresh
    stale_for     how long it is still served after that, while one reader refreshes it
    negative_ttl  how long the absence of a value (a load that returned None) is cached; 0: not
    jitter        the largest share of the time to live that is randomly subtracted, so that values
                  that were filled together do not expire together
    beta          how early a fresh value is refreshed before it expires; 0: never
    soft_timeout  how long a reader waits for a refresh before it uses the stale value
    lease         how long a load may take before another reader may load
    wait          how long other readers wait for a load before they load themselves
    retry         how long nobody loads again after a failed load
    expected      exceptions of a load that are no failure, such as one for "not found": they are
                  raised to the reader, and others may load at once
    shape         which values are cached and how they are written; a text that does not fit, such
                  as one of an earlier release, is a miss
    """

    ttl: float
    stale_for: float = 0.0
    negative_ttl: float = 30.0
    jitter: float = 0.05
    beta: float = 1.0
    soft_timeout: float = 0.0
    lease: float = 10.0
    wait: float = 2.0
    retry: float = 0.5
    expected: tuple[type[Exception], ...] = ()
    shape: Shape = PLAIN_JSON

    def expiry_ms(self, value: Any) -> int:
        """After how many ms Redis drops this value, with jitter; 0 if it is not to be cached."""
        ttl = self.negative_ttl if value is None else self.ttl
        if ttl <= 0:
            return 0
        fresh = ttl * random.uniform(1 - self.jitter, 1)  # noqa: S311
        return milliseconds(fresh + self.stale_for)

    @property
    def longest_ms(self) -> int:
        """After how many ms, from the request for a lease, every value is dropped."""
        return milliseconds(self.lease + max(self.ttl, self.negative_ttl) + self.stale_for)
