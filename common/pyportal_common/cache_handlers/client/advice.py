"""What an operator can do about an error reply of Redis."""

import re

_FORBIDDEN_COMMAND = re.compile(r"no permissions to run the '([^']+)' command")
_NO_CLUSTER = "Redis Cluster is not supported: use a server without cluster-enabled"
_USER = "see REDIS_USERNAME and REDIS_PASSWORD, or those in the URL"

_BY_TEXT = {
    "cluster mode": _NO_CLUSTER,
    "DB index": (
        "the server has fewer databases: set `databases 16` in its redis.conf,"
        " or choose another with REDIS_DB and SESSION_REDIS_DB"
    ),
    "max number of clients": "raise the server's maxclients, or lower REDIS_MAX_CONNECTIONS",
    "nknown": "the server is older than Redis 7.0, or its rename-command hides a command",
}
_BY_CODE = {
    "OOM": "the server's memory is full: free some, or raise its maxmemory",
    "READONLY": "the server is a replica: connect to the master",
    "REDIRECT": "the server is a replica: connect to the master",
    "MISCONF": "the server cannot write to its disk: see its log",
    "NOREPLICAS": "too few replicas are connected: see the server's min-replicas-to-write",
    "NOPERM": "add what is missing to the user's rules in the server's ACL",
    "NOAUTH": _USER,
    "WRONGPASS": _USER,
    "DENIED": "the server is in protected mode: give it a password",
    "WRONGTYPE": "a key has another type than the services write: delete it",
    "CLUSTER": _NO_CLUSTER,
    "CLUSTERDOWN": _NO_CLUSTER,
    "CROSSSLOT": _NO_CLUSTER,
    "MOVED": _NO_CLUSTER,
    "ASK": _NO_CLUSTER,
    "TRYAGAIN": _NO_CLUSTER,
}


def advice_on(code: str, reply: str) -> str:
    """What to do about an error reply with this code and text."""
    command = _FORBIDDEN_COMMAND.search(reply)
    if command:
        return f"add +{command[1]} to the user's rules in the server's ACL"
    by_text = next((advice for text, advice in _BY_TEXT.items() if text in reply), None)
    return by_text or _BY_CODE.get(code, "see the server's log")
