"""Sends requests from many threads and counts their outcomes. Needs the standard library only.

    python tests/compose/load.py http://localhost:5001/livez --seconds 10

Restart the service meanwhile. A connection that is refused was not accepted and is tried again.
Every other outcome but a 2xx is a failure, including a connection that breaks without a response.
The exit status is 1 if there was any.

Docker's proxy on a published port accepts connections for a service that is not there. To reach the
service itself, run this in its network:

    docker compose exec -T taskprocessing-service \\
        python - http://usermanagement-service:5001/livez < tests/compose/load.py
"""

import argparse
import http.client
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

NOT_ACCEPTED = "not accepted"


def send(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> str:
    """Send a request. Returns its status, NOT_ACCEPTED, or the name of the exception."""
    if connection.sock is None:
        try:
            connection.connect()
        except OSError:
            return NOT_ACCEPTED
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return type(error).__name__
    return str(response.status)


def load(
    url: str,
    is_over: Callable[[], bool],
    *,
    threads: int,
    keep_alive: bool = True,
    session_id: str | None = None,
) -> Counter[str]:
    """The outcomes of all requests. With `keep_alive` half of the threads keep their connection."""
    target = urlsplit(url)
    headers = {"Authorization": f"Bearer {session_id}"} if session_id else {}
    outcomes: list[str] = []

    def run(keeps_connection: bool) -> None:
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
        while not is_over():
            outcomes.append(send(connection, target.path, headers))
            if not keeps_connection:
                connection.close()
            if outcomes[-1] == NOT_ACCEPTED:
                time.sleep(0.02)
        connection.close()

    clients = [
        threading.Thread(target=run, args=(keep_alive and bool(number % 2),))
        for number in range(threads)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return Counter(outcomes)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--session", help="a session_id, for routes that need a session")
    options = parser.parse_args()

    deadline = time.monotonic() + options.seconds
    totals = load(
        options.url,
        lambda: time.monotonic() > deadline,
        threads=options.threads,
        session_id=options.session,
    )

    failed = sum(
        count
        for outcome, count in totals.items()
        if outcome != NOT_ACCEPTED and not outcome.startswith("2")
    )
    print(" ".join(f"{outcome}: {count};" for outcome, count in sorted(totals.items())), end=" ")
    print(f"failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
