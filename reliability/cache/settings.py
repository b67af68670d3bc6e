"""What all processes of a cache run know."""

import random
from dataclasses import dataclass

from ..settings import RunSettings

USERS = 300
HOT_USERS = 10  # half of all operations are about these: that is where races happen


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """`until` is by time.monotonic(); `cache_aside` replaces the protocol."""

    run: RunSettings
    database_url: str
    redis_port: int
    until: float

    @property
    def cache_aside(self) -> bool:
        """Whether plain cache-aside runs in place of the protocol."""
        return self.run.mutant == "protocol"


def pick_user(rng: random.Random) -> int:
    """A random user's id."""
    return rng.randint(1, HOT_USERS if rng.random() < 0.5 else USERS)


def email_of(user_id: int, address: int) -> str:
    """One of the two e-mail addresses, 0 and 1, that a user changes between."""
    return f"user{user_id}-{address}@example.com"
