"""Whether what listens on a port of this machine is well: a container's health check.

`python -m common.pyportal_common.healthcheck 5001` ends with 0 or 1, by what /readyz answers; a
worker has no such path, and another may follow the port. Images have no curl, and unlike urllib
this asks no proxy that the environment may name.
"""

import http.client
import sys
from contextlib import closing


def ready(port: int, path: str = "/readyz", *, timeout_seconds: float = 3) -> bool:
    """Whether a GET of the path there answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
    with closing(connection):
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


if __name__ == "__main__":
    sys.exit(not ready(int(sys.argv[1]), *sys.argv[2:]))
