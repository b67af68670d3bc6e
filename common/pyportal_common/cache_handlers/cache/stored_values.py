"""Reads what Redis holds for the consistency monitor, which must change no value."""

from collections.abc import Sequence

from .. import keys
from ..client.client import RedisClient
from ..client.scripts import Script
from ..client.values import milliseconds
from .tags import without_generations

_COUNT = 100  # keys that one SCAN examines


class StoredValues:
    """The values in the database of a client. Each method is one round trip.

    They raise RedisUnavailable and RedisPoolExhausted.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._turn = Script.load(__package__, "turn")

    def read(self, key: str, tags: Sequence[str] = ()) -> bytes | None:
        """The value as its readers get it. None if there is none, or a writer has a fence."""
        names = (key, *tags)
        value, fences, *generations = self._client.read_bytes(
            ("GET", key),
            ("EXISTS", *map(keys.fence, names)),
            *([("MGET", *tags)] if tags else []),
        )
        return None if fences else without_generations(value, generations[0] if tags else [])

    def existing(self, names: Sequence[str]) -> list[str]:
        """Those of these keys that exist."""
        found = self._client.read_bytes(*(("EXISTS", name) for name in names))
        return [name for name, exists in zip(names, found, strict=True) if exists]

    def scan(self, cursor: int) -> tuple[int, list[str]]:
        """The next cursor, and some keys of any kind. The walk begins and ends with 0."""
        following, names = self._client.execute("SCAN", cursor, "COUNT", _COUNT)
        return int(following), names

    def take_turn(self, seconds: float) -> bool:
        """Whether it is this process's turn: only one of all has it within so many seconds."""
        return bool(self._client.run(self._turn, [keys.CACHE_AUDIT], [milliseconds(seconds)]))
