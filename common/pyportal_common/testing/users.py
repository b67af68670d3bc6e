"""Users of Redis in tests: those of an ACL file, and what the server has denied them."""

from typing import Any

from ..cache_handlers import RedisClient
from ..redis_server import RedisServer
from .plugin import settings_for

PASSWORD = "test"  # noqa: S105  of every user
_OF_TESTS = "user default on nopass ~* &* +@all"


def with_passwords(users: str) -> str:
    """An ACL file whose users have a password. `default` may do everything: tests look with it."""
    lines = [line for line in users.splitlines() if not line.startswith("user default ")]
    return "\n".join([_OF_TESTS, *(f"{line} >{PASSWORD}" for line in lines)]) + "\n"


def url_of_user(user: str, url: str) -> str:
    """The URL of a server with the name and the password of a user, unless it has others."""
    return url if "@" in url else url.replace("://", f"://{user}:{PASSWORD}@", 1)


def denials(server: RedisServer) -> list[str]:
    """What the server has denied to its users since the last call."""
    client = RedisClient.connect(settings_for(server), db=0)
    entries = client.execute("ACL", "LOG")
    client.execute("ACL", "LOG", "RESET")
    client.close()
    return [_denial(dict(zip(entry[::2], entry[1::2], strict=True))) for entry in entries]


def _denial(entry: dict[str, Any]) -> str:
    return f"{entry['username']} {entry['context']}: {entry['reason']} {entry['object']}"
