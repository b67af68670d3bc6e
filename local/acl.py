"""`make acl`: writes redis/users.acl from the keys and the commands that the services send."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from common.pyportal_common.cache_handlers.client import commands
from common.pyportal_common.cache_handlers.keys import KINDS, KeyKind, kinds_in

USERS_FILE = Path(__file__).parent.parent / "redis" / "users.acl"

# Reading, and removing what may be lost. Neither SCAN nor INFO holds the server, as KEYS does.
_OPERATOR = """
select ping info dbsize time command slowlog|get slowlog|len latency|latest latency|doctor
memory|usage memory|stats memory|doctor client|list client|info client|getname acl|whoami acl|log
scan type exists ttl pttl object|encoding object|idletime object|freq
get mget strlen getrange hget hmget hgetall hlen hscan hkeys zrange zcard zscore zscan
lrange llen eval eval_ro del unlink
"""

# What redis_exporter sends for the metrics in deploy/. CONFIG GET would show passwords of replicas.
_EXPORTER = "ping info client|setname slowlog|get slowlog|len latency|latest latency|histogram"

# Those that Redis documents for them.
_REPLICA = "psync replconf ping"
_SENTINEL = """
multi exec slaveof ping subscribe config|rewrite role publish info client|setname client|kill
script|kill
"""


def write() -> int:
    """Write the file. Returns the exit status."""
    USERS_FILE.write_text(users(), "utf-8")
    print("Wrote redis/users.acl.")
    return 0


def users() -> str:
    """The file: a line for each user. None of them has a password, so none can log in."""
    services = dict.fromkeys(kind.service for kind in KINDS if kind.service is not None)
    lines = [
        "user default reset off",
        *(_user(service, *_rules_of_service(service)) for service in services),
        _user("operator", "~*", *_allowed(_OPERATOR.split())),
        _user("exporter", *_allowed(_EXPORTER.split())),
        _user("replica", *_allowed(_REPLICA.split())),
        _user("sentinel", "&__sentinel__:hello", *_allowed(_SENTINEL.split())),
    ]
    return "\n".join(lines) + "\n"


def _user(name: str, *rules: str) -> str:
    return " ".join(["user", name, "on", "resetchannels", *rules])


def _rules_of_service(service: str) -> Iterator[str]:
    kinds = kinds_in("caches", service) + kinds_in("sessions", service)
    for pattern in _without_covered(kinds):
        yield f"~{pattern}"
    sent = [
        *(command.name for command in commands.commands_for(kinds)),
        *commands.SENT_BY_THE_INSPECTION.split(),
        *commands.SENT_BY_WORKERS.split(),
        "PING",  # ping() would say that the server does not answer
    ]
    yield from _allowed(sorted({name.lower() for name in sent}))
    yield from _allowed(f"{name.lower()}|get" for name in commands.SENT_FOR_OPERATORS.split())


def _without_covered(kinds: Iterable[KeyKind]) -> Iterator[str]:
    """The patterns, without those whose keys match another one, as `user:*` matches most."""
    patterns = dict.fromkeys(kind.pattern for kind in kinds)
    for pattern in patterns:
        others = patterns.keys() - {pattern}
        if not any(fnmatchcase(pattern, other) for other in others):
            yield pattern


def _allowed(names: Iterable[str]) -> Iterator[str]:
    return (f"+{name}" for name in names)
