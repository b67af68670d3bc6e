"""What a page shows of a Redis database that may be unavailable, or not permit a command."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ...cache_handlers import RedisUnavailable

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[_T]):
    """What Redis answered, or why there is no answer. Sessions may be at another server."""

    value: _T | None = None
    error: str = ""


def look(read: Callable[[], _T]) -> Seen[_T]:
    """The result of a read, or the error of Redis."""
    try:
        return Seen(read())
    except RedisUnavailable as error:
        return Seen(error=str(error))
