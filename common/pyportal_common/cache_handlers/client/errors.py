"""The layer's errors, and how redis-py's errors map to them."""

import re

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


_CODES = """
ASK BUSY BUSYGROUP BUSYKEY CLUSTER CLUSTERDOWN CROSSSLOT DENIED ERR EXECABORT INPROG INVALIDOBJ
IOERR LOADING MASTERDOWN MISCONF MOVED NOAUTH NOGOODPRIMARY NOGOODSLAVE NOGROUP NOMASTERLINK NOPERM
NOPROTO NOQUORUM NOREPLICAS NOSCRIPT NOTBUSY OOM READONLY REDIRECT TRYAGAIN UNBLOCKED UNKILLABLE
WRONGPASS WRONGTYPE
"""
KNOWN_CODES = frozenset(_CODES.split())
"""The codes in the sources of Redis 7 and Valkey 9, and CLUSTER, which is the layer's own."""

_OUTAGES = (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse)
_OUTAGE_CODES = {"BUSY", "LOADING", "MASTERDOWN"}  # no command is served, not even a read
_CODE = re.compile(r"([A-Z][A-Z0-9_]+)(?: |$)")
# How Redis 7.0, and later versions, begin what a script gets in place of a NOPERM.
_NO_PERMISSION_IN_A_SCRIPT = ("The user executing the script can't", "ACL failure in script")


def outage_in(error: Exception) -> Exception | None:
    """The error that shows that the server is unavailable, if `error` means that."""
    if isinstance(error, redis.WatchError):  # redis-py also raises it for a lost connection
        return error.__context__ if isinstance(error.__context__, _OUTAGES) else None
    if is_reply(error):
        return error if says_outage(error) else None
    return error if isinstance(error, _OUTAGES) else None


def is_outage(error: Exception) -> bool:
    """Whether an error of this layer or of redis-py means that nothing works at the moment.

    Otherwise it is about what was being done, as a refusal of one command or an odd value is.
    """
    if isinstance(error, RedisRefused):
        return error.is_of_all_writes
    return isinstance(error, RedisLayerError) or outage_in(error) is not None


def is_reply(error: BaseException) -> bool:
    """Whether the server answered with this error, even if redis-py has it as a lost connection."""
    return isinstance(error, redis.ResponseError) or bool(getattr(error, "status_code", None))


def says_outage(error: Exception) -> bool:
    """Whether the server replied that it cannot serve now."""
    return is_reply(error) and code_of(error) in _OUTAGE_CODES


def code_of(error: BaseException) -> str:
    """The code of an error reply: its first word; ERR if it has none."""
    return code_in(reply_of(error))


def code_in(reply: str) -> str:
    """The code of the text of an error reply."""
    if any(begin in reply for begin in _NO_PERMISSION_IN_A_SCRIPT):
        return "NOPERM"
    found = _CODE.match(reply)
    return found[1] if found else "ERR"


def reply_of(error: BaseException) -> str:
    """The text of an error reply, with the code that redis-py removes from some of them."""
    code = getattr(error, "status_code", None)
    return f"{code} {error}" if code else str(error)
