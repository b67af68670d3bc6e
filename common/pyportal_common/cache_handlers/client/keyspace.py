"""The keys of a Redis database: strings, counters, JSON documents, hashes and lists."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from .pipeline import Pipeline
from .scripts import Script
from .values import Value, from_json, milliseconds, to_json

_COUNT = Script.load(__package__, "count")
_PUSH = Script.load(__package__, "push")
_SET_MANY = Script.load(__package__, "set_many")

_CHUNK = 1000  # keys that one command removes: it must not hold the server


class Keyspace(ABC):
    """What applications do with keys. Each method is one round trip; times to live are seconds."""

    @abstractmethod
    def execute(self, *command: Value) -> Any:
        """Send any command, given as its words, and return the reply as redis-py parses it."""

    @abstractmethod
    def pipeline(self, *, transaction: bool = True) -> Pipeline:
        """Queue commands, then send them all with `execute()` in one round trip."""

    @abstractmethod
    def run(self, script: Script, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """Run a script atomically. Two round trips if the server does not know it yet."""

    # --- strings ---

    def get(self, key: str) -> str | None:
        """The value, or None if there is no such key."""
        value: str | None = self.execute("GET", key)
        return value

    def set(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """Store `value`, for `ttl` seconds or without expiry."""
        expiry = () if ttl is None else ("PX", milliseconds(ttl))
        return bool(self.execute("SET", key, value, *expiry))

    def get_many(self, keys: Sequence[str]) -> dict[str, str]:
        """The values of the `keys` that exist. No round trip for no keys."""
        if not keys:
            return {}
        values: list[str | None] = self.execute("MGET", *keys)
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    def set_many(self, values: Mapping[str, Value], ttl: float | None = None) -> None:
        """Store all `values` atomically, for `ttl` seconds or without expiry.

        No round trip for no values.
        """
        if values:
            px = "" if ttl is None else milliseconds(ttl)
            self.run(_SET_MANY, list(values), [px, *values.values()])

    # --- counters ---

    def incr(self, key: str, amount: int = 1, *, ttl: float) -> int:
        """Add `amount` to a counter, and return the new number. The first number is `amount`.

        A counter expires `ttl` seconds after it was created. ValueError if the key holds another
        text, or the number would leave 64 bits; nothing is changed then.
        """
        return self._count(key, amount, ttl)

    def decr(self, key: str, amount: int = 1, *, ttl: float) -> int:
        """Subtract `amount` from a counter, as `incr` adds it."""
        return self._count(key, -amount, ttl)

    def _count(self, key: str, amount: int, ttl: float) -> int:
        number: str | None = self.run(_COUNT, [key], [amount, milliseconds(ttl)])
        if number is None:
            raise ValueError(f"{key} holds no whole number, or it would leave 64 bits")
        return int(number)

    # --- JSON ---

    def get_json(self, key: str) -> Any:
        """The decoded value, or None if there is no such key. ValueError if it is not JSON.

        A document that a service cached is returned without its version.
        """
        text = self.get(key)
        return None if text is None else from_json(text)

    def set_json(self, key: str, data: Any, ttl: float | None = None) -> bool:
        """Store `data` as plain JSON, for `ttl` seconds or without expiry.

        Dates and times become ISO 8601 strings, UUID and Decimal strings. TypeError for types
        without a JSON form, ValueError for NaN and infinity; nothing is stored then.
        """
        return self.set(key, to_json(data), ttl)

    # --- keys ---

    def delete(self, *keys: str) -> int:
        """Remove the keys and return how many existed. Memory is freed in the background."""
        return int(self.execute("UNLINK", *keys)) if keys else 0

    def delete_many(self, keys: Iterable[str]) -> int:
        """Remove the keys, such as those of `scan`, and return how many existed.

        One round trip for each thousand.
        """
        names = iter(keys)
        return sum(self.delete(*chunk) for chunk in iter(lambda: list(islice(names, _CHUNK)), []))

    def exists(self, *keys: str) -> int:
        """How many of the keys exist."""
        return int(self.execute("EXISTS", *keys)) if keys else 0

    def expire(self, key: str, ttl: float) -> bool:
        """Make `key` expire `ttl` seconds from now. False if there is no such key."""
        return bool(self.execute("PEXPIRE", key, milliseconds(ttl)))

    def ttl(self, key: str) -> int:
        """The remaining seconds, rounded; -1 if the key does not expire, -2 if there is none."""
        return int(self.execute("TTL", key))

    def scan(
        self, match: str = "*", *, count: int = 500, budget: int | None = None
    ) -> Iterator[str]:
        """Every key that matches the glob `match`. One round trip for each `count` keys examined.

        As with SCAN, a key may be returned twice, and one that is added or removed meanwhile may
        be missing. It ends when about `budget` keys have been examined.
        """
        cursor = examined = 0
        while budget is None or examined < budget:
            cursor, found = self.execute("SCAN", cursor, "MATCH", match, "COUNT", count)
            yield from found
            examined += count
            if cursor == 0:
                return

    # --- hashes ---

    def hset(self, key: str, field: str, value: Value) -> int:
        """Set a field, and return 1 if it is new, else 0."""
        return int(self.execute("HSET", key, field, value))

    def hget(self, key: str, field: str) -> str | None:
        """The field's value, or None if there is no such field."""
        value: str | None = self.execute("HGET", key, field)
        return value

    def hgetall(self, key: str) -> dict[str, str]:
        """All fields and values; empty if there is no such key."""
        fields: dict[str, str] = self.execute("HGETALL", key)
        return fields

    def hdel(self, key: str, *fields: str) -> int:
        """Remove the fields and return how many existed."""
        return int(self.execute("HDEL", key, *fields)) if fields else 0

    # --- lists ---

    def lpush(self, key: str, *values: Value, ttl: float, max_length: int | None = None) -> int:
        """Add values at the left of a list, the last one outermost, and return its length.

        The list expires `ttl` seconds after the last push. With `max_length` those at the right
        that exceed it are dropped. ValueError if there are no values.
        """
        return self._push("left", key, values, ttl, max_length)

    def rpush(self, key: str, *values: Value, ttl: float, max_length: int | None = None) -> int:
        """The same at the right of a list; those at the left are dropped."""
        return self._push("right", key, values, ttl, max_length)

    def lrange(self, key: str, start: int = 0, stop: int = -1) -> list[str]:
        """The values from `start` to `stop`, which is included. -1 is the last one."""
        values: list[str] = self.execute("LRANGE", key, start, stop)
        return values

    def lpop(self, key: str) -> str | None:
        """Remove and return the value at the left, or None if there is none."""
        value: str | None = self.execute("LPOP", key)
        return value

    def rpop(self, key: str) -> str | None:
        """Remove and return the value at the right, or None if there is none."""
        value: str | None = self.execute("RPOP", key)
        return value

    def llen(self, key: str) -> int:
        """How many values a list has."""
        return int(self.execute("LLEN", key))

    def _push(
        self, side: str, key: str, values: Sequence[Value], ttl: float, max_length: int | None
    ) -> int:
        if not values or (max_length is not None and max_length < 1):
            raise ValueError("a push needs a value, and a max_length of at least 1")
        args = [side, milliseconds(ttl), max_length or 0, *values]
        return int(self.run(_PUSH, [key], args))
