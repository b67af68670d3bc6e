"""What all processes of a run know."""

import random
from dataclasses import dataclass
from pathlib import Path

HOT = 10  # users that half of everything is about: where races are


@dataclass(frozen=True, slots=True)
class Setting:
    """One run. Times are seconds; `until` is by time.monotonic()."""

    database_url: str
    redis_port: int
    folder: Path
    plain: bool
    users: int
    seed: int
    until: float

    def random_for(self, name: str) -> random.Random:
        """The chance of one process or thread, the same for the same seed."""
        return random.Random(f"{self.seed} {name}")

    def pick(self, chance: random.Random) -> int:
        """A user's id."""
        return chance.randint(1, HOT if chance.random() < 0.5 else self.users)


def address(user_id: int, which: int) -> str:
    """One of the two e-mail addresses that a user changes between."""
    return f"stress{user_id}-{which}@example.com"
