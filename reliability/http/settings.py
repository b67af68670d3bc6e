"""What the clients of an HTTP run know."""

import json
import os
from dataclasses import asdict, dataclass

SERVICE_TOKEN = "stress-token-of-sixteen"
USERS = 8

_VARIABLE = "RELIABILITY_CLIENTS"


def instance_name(number: int) -> str:
    """The name of an instance of the service, by its place among the ports."""
    return f"instance{number}"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """`sessions` are the login sessions of the users 1 to 8; `operations` are those of a process.

    `until` is by time.monotonic(): no client goes on after that.
    """

    ports: list[int]
    sessions: list[str]
    admin_session: str
    operations: int
    until: float

    def variables(self) -> dict[str, str]:
        """What `from_environment` reads."""
        return {_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> "ClientSettings":
        """The settings of the run that this process belongs to."""
        return cls(**json.loads(os.environ[_VARIABLE]))
