"""What can go wrong between a service and Redis."""


class RedisLayerError(Exception):
    """Base of every error that this package raises by itself."""


class RedisUnavailable(RedisLayerError):
    """The server is down, hung or cut off. `resilience.OUTAGE` says what each use does then."""


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
