"""The layer's errors, and how redis-py's errors map to them."""

import redis


class RedisLayerError(Exception):
    """Base of every error that this package raises itself."""


class RedisUnavailable(RedisLayerError):
    """The server is down, hung or unreachable. docs/redis.md says what that means for each use."""


class RedisWriteRefused(RedisUnavailable):
    """The server answers but refuses writes: its memory is full, or it is read-only.

    For a writer this is an outage. Reads still work, so the breaker stays closed.
    """


class RedisPoolExhausted(RedisLayerError):
    """Every connection of this process is in use and none was released in time.

    This says nothing about the server, so it is not an outage and nothing falls back. Configure at
    least as many connections (REDIS_MAX_CONNECTIONS) as threads.
    """


_OUTAGES = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.InvalidResponse,  # the server at this address is not Redis
    redis.exceptions.MasterDownError,
)
_OUTAGE_CODES = ("BUSY ", "LOADING ", "MASTERDOWN ")
_REFUSED_WRITE_CODES = ("OOM ", "READONLY ", "MISCONF ", "NOREPLICAS ")


def outage_in(error: Exception) -> Exception | None:
    """The error that shows that the server is unavailable, if `error` means that."""
    if isinstance(error, redis.WatchError):  # redis-py also raises it for a lost connection
        return error.__context__ if isinstance(error.__context__, _OUTAGES) else None
    replied = isinstance(error, redis.ResponseError) and says_outage(error)
    return error if replied or isinstance(error, _OUTAGES) else None


def says_outage(error: Exception) -> bool:
    """Whether the server replied that it cannot serve now."""
    return str(error).startswith(_OUTAGE_CODES)


def refuses_writes(error: Exception) -> bool:
    """Whether the server replied that it accepts no writes."""
    # redis-py removes the code from the text of errors that have a class.
    known = isinstance(error, redis.exceptions.OutOfMemoryError | redis.ReadOnlyError)
    return known or str(error).startswith(_REFUSED_WRITE_CODES)
