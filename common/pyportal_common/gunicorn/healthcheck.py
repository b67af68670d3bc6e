"""A container's health check: whether the server on a local port is ready.

`python -m common.pyportal_common.gunicorn.healthcheck 5001` exits with 0 if /readyz responds 200,
else with 1. A path may follow the port: job workers have only /metrics. The images contain no curl.
urllib would use the proxies named in the environment. Containers run this every few seconds, so it
and its packages import next to nothing.
"""

import http.client
import sys
from contextlib import closing


def ready(port: int, path: str = "/readyz", *, timeout_seconds: float = 3) -> bool:
    """Whether a GET of the path responds 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
    with closing(connection):
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


if __name__ == "__main__":
    sys.exit(not ready(int(sys.argv[1]), *sys.argv[2:]))
