"""The layer's errors, and how redis-py's map to them."""

import redis


class RedisLayerError(Exception):
    """Base of every error that this package raises by itself."""


class RedisUnavailable(RedisLayerError):
    """The server is down, hung or unreachable. docs/redis.md says what each use does then."""


class RedisWriteRefused(RedisUnavailable):
    """The server answers, and refuses to write: its memory is full, or it is read-only.

    For whoever wanted to write that is an outage; for readers it is not, so the breaker stays
    closed.
    """


class RedisPoolExhausted(RedisLayerError):
    """Every connection of this process is in use and none came free in time.

    That says nothing about the server, so it is no outage: nothing falls back to a local answer.
    Have at least as many connections (REDIS_MAX_CONNECTIONS) as threads.
    """


_OUTAGES = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.InvalidResponse,  # something answers there, and it is not Redis
    redis.exceptions.MasterDownError,
)
_OUTAGE_CODES = ("BUSY ", "LOADING ", "MASTERDOWN ")
_REFUSED_WRITE_CODES = ("OOM ", "READONLY ", "MISCONF ", "NOREPLICAS ")


def outage_in(error: Exception) -> Exception | None:
    """The error that says that the server is unavailable, if that is what went wrong."""
    if isinstance(error, redis.WatchError):  # redis-py's word for a connection lost meanwhile
        return error.__context__ if isinstance(error.__context__, _OUTAGES) else None
    said_so = isinstance(error, redis.ResponseError) and str(error).startswith(_OUTAGE_CODES)
    return error if said_so or isinstance(error, _OUTAGES) else None


def says_outage(error: Exception) -> bool:
    """Whether the server answers that it cannot serve now."""
    return str(error).startswith(_OUTAGE_CODES)


def refuses_writes(error: Exception) -> bool:
    """Whether the server serves, but takes no writes."""
    # redis-py takes the code off the text of the errors that it has classes for.
    known = isinstance(error, redis.exceptions.OutOfMemoryError | redis.ReadOnlyError)
    return known or str(error).startswith(_REFUSED_WRITE_CODES)
