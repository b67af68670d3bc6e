"""Keeps asking a service from many threads, and tells what came back. Standard library only.

    python tests/compose/load.py http://localhost:5001/livez --seconds 10

restart the service meanwhile. A connection that is not made was not accepted: it is tried again.
Everything else but a 2xx counts as failed, also a connection that breaks without an answer. Ends
with 1 if there was any.

Docker's own proxy on a published port accepts connections for a service that is not there. Ask from
inside the services' network to hear the service itself:

    docker compose exec -T taskprocessing-service \\
        python - http://usermanagement-service:5001/livez < tests/compose/load.py
"""

import argparse
import http.client
import sys
import threading
import time
from collections import Counter
from urllib.parse import urlsplit


def ask(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> str:
    """A request on `connection`: its status, or what broke; "not accepted" if it never stood."""
    if connection.sock is None:
        try:
            connection.connect()
        except OSError:
            return "not accepted"
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return type(error).__name__
    return str(response.status)


def keep_asking(options: argparse.Namespace, keep_alive: bool, told: list[str]) -> None:
    """Until the time is over; on one connection for as long as the server keeps it, or anew."""
    where = urlsplit(options.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    headers = {"Authorization": f"Bearer {options.session}"} if options.session else {}
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        told.append(ask(connection, where.path, headers))
        if not keep_alive:
            connection.close()
        if told[-1] == "not accepted":
            time.sleep(0.02)
    connection.close()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--session", help="a session_id from login, for what needs one")
    options = parser.parse_args()

    told: list[str] = []
    threads = [
        threading.Thread(target=keep_asking, args=(options, bool(number % 2), told))
        for number in range(options.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    totals = Counter(told)
    failed = sum(
        count
        for outcome, count in totals.items()
        if outcome != "not accepted" and not outcome.startswith("2")
    )
    print(" ".join(f"{outcome}: {count};" for outcome, count in sorted(totals.items())), end=" ")
    print(f"failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
