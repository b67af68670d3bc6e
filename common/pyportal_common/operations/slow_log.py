"""Slow commands of a Redis server, without what they contain."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..cache_handlers import keys

_MAX_NAME = 20

# The position of a command's first key, where it is not the first argument.
_FIRST_KEYS = {"EVAL": 3, "EVALSHA": 3}

_PREFIXES = [kind.pattern.partition("*")[0] for kind in keys.KINDS]


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """A command that took long on the server. `kind` is that of its first key, if it is ours.

    Arguments are not shown: they are values, session ids and tokens.
    """

    id: int
    at: datetime
    milliseconds: float
    command: str
    kind: str | None
    arguments: int

    @classmethod
    def of(cls, entry: Sequence[Any]) -> "SlowCommand":
        """The view of an entry of SLOWLOG GET."""
        number, at, microseconds, words = entry[:4]
        name = str(words[0]).upper()
        return cls(
            int(number),
            datetime.fromtimestamp(int(at), UTC),
            int(microseconds) / 1000,
            name[:_MAX_NAME] if name.isalpha() else "?",
            _kind_of_first_key(name, words),
            len(words) - 1,
        )


def _kind_of_first_key(name: str, words: Sequence[str]) -> str | None:
    """Our kind of key, such as "session"; None for any other."""
    position = _FIRST_KEYS.get(name, 1)
    key = words[position] if position < len(words) else ""
    prefixes = [prefix for prefix in _PREFIXES if key.startswith(prefix)]
    return max(prefixes, key=len).rstrip(":{") if prefixes else None
