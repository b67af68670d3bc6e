"""The layer's errors, and how redis-py's errors map to them."""

import redis


class RedisLayerError(Exception):
    """Base of every error that this package raises itself."""


class RedisUnavailable(RedisLayerError):
    """The server is down, hung or unreachable. docs/redis.md says what that means for each use."""


_WRITE_CODES = frozenset({"OOM", "READONLY", "MISCONF", "NOREPLICAS"})


class RedisRefused(RedisUnavailable):
    """The server answers a command with an error. For the use at hand this is an outage.

    The server is up and may serve other commands, so the breaker stays closed. `code` is the first
    word of the reply, such as OOM, READONLY or NOPERM.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_of_all_writes(self) -> bool:
        """Whether the server refuses every write at the moment, and not only this command."""
        return self.code in _WRITE_CODES


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
# redis-py removes the code from the text of errors that have a class.
_CODES: dict[type[redis.ResponseError], str] = {
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.ReadOnlyError: "READONLY",
    redis.exceptions.NoPermissionError: "NOPERM",
    redis.exceptions.ExecAbortError: "EXECABORT",
    redis.exceptions.NoScriptError: "NOSCRIPT",
}


def outage_in(error: Exception) -> Exception | None:
    """The error that shows that the server is unavailable, if `error` means that."""
    if isinstance(error, redis.WatchError):  # redis-py also raises it for a lost connection
        return error.__context__ if isinstance(error.__context__, _OUTAGES) else None
    replied = isinstance(error, redis.ResponseError) and says_outage(error)
    return error if replied or isinstance(error, _OUTAGES) else None


def says_outage(error: Exception) -> bool:
    """Whether the server replied that it cannot serve now."""
    return str(error).startswith(_OUTAGE_CODES)


def code_of(error: redis.ResponseError) -> str:
    """The code of an error reply: its first word, in capitals; ERR if it has none."""
    known = next((code for kind, code in _CODES.items() if isinstance(error, kind)), None)
    first = str(error).partition(" ")[0]
    return known or (first if first.isupper() else "ERR")
