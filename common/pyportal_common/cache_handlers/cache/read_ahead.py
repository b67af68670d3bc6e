"""The value that a request has read ahead, with its admission, for the route that it calls."""

from contextvars import ContextVar
from dataclasses import dataclass

from ..client.client import RedisClient


@dataclass(frozen=True, slots=True)
class ReadAhead:
    """The text under a key of a client's database, or None, and its remaining ms."""

    client: RedisClient
    key: str
    text: str | None
    left_ms: int


# Of this thread. A thread of a pool, such as one that refreshes values, holds nothing.
_held: ContextVar[ReadAhead | None] = ContextVar("pyportal_read_ahead", default=None)


def hold(read: ReadAhead | None) -> None:
    """Hold this for the current request, in place of what is held. None drops it."""
    _held.set(read)


def take(client: RedisClient, key: str) -> ReadAhead | None:
    """What is held under this key of the client's database; it is held no longer."""
    read = _held.get()
    if read is None or read.key != key or read.client is not client:
        return None
    _held.set(None)
    return read
