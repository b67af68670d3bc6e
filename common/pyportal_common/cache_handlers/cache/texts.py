"""Reads the texts of cached values, each in one round trip."""

from collections.abc import Sequence

from ..client.client import RedisClient
from ..client.errors import RedisUnavailable
from .shapes import Bytes, Shape
from .tags import without_generations

Text = str | bytes
"""Bytes for the shape Bytes: decoding what is not UTF-8 is slow."""


class Texts:
    """Reads values without the generations of their tags. In an outage there are none."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def trusts(self, names: Sequence[str]) -> bool:
        """Whether the values under all these keys may be read. See Trust."""
        return all(map(self._client.trusts, names))

    def read(self, key: str, shape: Shape, tags: Sequence[str]) -> tuple[Text | None, int]:
        """The text, if there is one, and its remaining ms."""
        try:
            if not tags and not isinstance(shape, Bytes):
                return self._client.get_with_ttl(key)
            # The tags last: the value was current when they were read.
            many = [("MGET", *tags)] if tags else []
            value, left_ms, *generations = self._client.read_bytes(
                ("GET", key), ("PTTL", key), *many
            )
        except RedisUnavailable:
            return None, 0  # a miss: SQL has the value
        current = without_generations(value, generations[0] if tags else [])
        return _as_text(current, shape), left_ms

    def read_many(
        self, names: Sequence[str], shape: Shape, tags: Sequence[str]
    ) -> dict[str, Text | None]:
        """The texts of these keys, None where there is none. No round trip for no keys."""
        if not names:
            return {}
        try:
            (found,) = self._client.read_bytes(("MGET", *names, *tags))
        except RedisUnavailable:
            return dict.fromkeys(names)
        values, generations = found[: len(names)], found[len(names) :]
        current = (without_generations(value, generations) for value in values)
        return {name: _as_text(value, shape) for name, value in zip(names, current, strict=True)}


def _as_text(value: bytes | None, shape: Shape) -> Text | None:
    if value is None or isinstance(shape, Bytes):
        return value
    return value.decode(errors="surrogateescape")
