"""Whether the service on a port of this machine is ready: a container's health check.

`python -m common.pyportal_common.healthcheck 5001` ends with 0 or 1. Images have no curl, and
unlike urllib this asks no proxy that the environment may name.
"""

import http.client
import sys
from contextlib import closing


def ready(port: int, *, timeout_seconds: float = 3) -> bool:
    """Whether GET /readyz there answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
    with closing(connection):
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


if __name__ == "__main__":
    sys.exit(not ready(int(sys.argv[1])))
