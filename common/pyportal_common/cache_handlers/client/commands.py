"""The commands that the services send, with arguments that have no effect, for the inspection."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..keys import KeyKind

# The arguments after the key. Where none are harmless, they are invalid together: the server checks
# permissions first.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "DEL": (),
    "EXISTS": (),
    "GET": (),
    "HDEL": ("field",),
    "HGET": ("field",),
    "HMGET": ("field",),
    "HSET": ("field", "value", "field without value"),
    "MGET": (),
    "PEXPIRE": ("1",),
    "PEXPIREAT": ("1",),
    "PTTL": (),
    "SCAN": ("0", "COUNT", "1"),
    "SET": ("value", "NX", "XX"),
    "TYPE": (),
    "UNLINK": (),
    "XADD": ("MAXLEN", "no number", "*", "field", "value"),
    "XREAD": ("no", "streams"),
    "XREVRANGE": ("+", "-", "COUNT", "1"),
    "ZADD": ("XX", "0", "member"),
    "ZCARD": (),
    "ZRANGE": ("0", "-1"),
    "ZREM": ("member",),
    "ZREMRANGEBYSCORE": ("-inf", "0"),
    "ZSCAN": ("0",),
}

SENT: dict[tuple[str, str], str] = {
    ("caches", "string"): "GET SET DEL UNLINK MGET PTTL PEXPIRE EXISTS TYPE",
    ("caches", "zset"): "DEL EXISTS ZADD ZREM ZREMRANGEBYSCORE PEXPIRE PTTL TYPE",
    ("sessions", "string"): "GET SET DEL EXISTS PTTL PEXPIRE TYPE",
    ("sessions", "zset"): "ZADD ZCARD ZRANGE ZREM ZSCAN PEXPIREAT DEL TYPE",
    ("sessions", "stream"): "XADD XREAD XREVRANGE",
    ("sessions", "hash"): "HGET HMGET HSET HDEL DEL PEXPIREAT",
    ("both", "string"): "SET",
}
"""The commands on keys, by the database and the type of their kind. The stream is a single key, so
its other commands are tried with other kinds."""

SENT_TO_ONE_KEY = "GET SET PTTL"
"""The commands on a text that is a single key, such as a marker."""

WITHOUT_A_KEY = "TIME SCAN"
"""Commands that have no key."""

SENT_BY_THE_INSPECTION = "SELECT INFO EVAL EVALSHA"
"""It fails if these are not allowed, so it need not try them."""

SENT_BY_WORKERS = "BZPOPMIN"
"""No script may call it in Redis 7.0, so the inspection cannot: a worker logs a refusal."""

SENT_TO_SENTINELS = "SENTINEL"
"""They have accounts of their own."""

SENT_FOR_OPERATORS = "SLOWLOG"
"""What only operators ask for. A refusal is an answer to them."""

ONLY_FOR_CALLERS = "PING TTL HGETALL INCRBY LPUSH RPUSH LPOP RPOP LRANGE LTRIM LLEN"
"""Methods of the client that the services do not call."""

_IDENTIFIER = "pyportal-self-test"  # no such key exists


@dataclass(frozen=True, slots=True)
class Command:
    """A command and the pattern of its key, if it has one."""

    name: str
    pattern: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The command with arguments that have no effect."""
        if not self.pattern:
            return self.name, *ARGUMENTS.get(self.name, ())
        return self.name, self.pattern.replace("*", _IDENTIFIER), *ARGUMENTS[self.name]


def commands_for(kinds: Iterable[KeyKind]) -> list[Command]:
    """Every command that is sent with keys of these kinds, and those without a key."""
    found = [Command(name) for name in WITHOUT_A_KEY.split()]
    for kind in kinds:
        is_one_key = "*" not in kind.pattern and kind.type == "string"
        names = SENT_TO_ONE_KEY if is_one_key else SENT[kind.database, kind.type]
        found += [Command(name, kind.pattern) for name in names.split()]
    return found
