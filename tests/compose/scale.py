"""Scales and restarts a running portal under load, and counts what clients see.

    python -m tests.compose.scale http://localhost:8080

The portal is that of docker-compose.yml and docker-compose.scale.yml: COMPOSE_FILE and
COMPOSE_PROJECT_NAME say which. It should have no other use, because an admin, the clients' users
and their tasks remain in it. It has to be started with RATE_LIMIT_REGISTER=100000/60,
RATE_LIMIT_LOGIN=100000/60 and RATE_LIMIT_READS=200/10; two clients use the last one up.

The services go from one replica to four, are restarted one by one, and go back to one. Meanwhile
clients log in, read, and create tasks through the gateway, half of them on kept connections. Each
response but a 2xx is a failure, and so is a connection that breaks; a 429 is one unless its client
uses a limit up. The exit status is 1 if there was any.
"""

import argparse
import subprocess
import sys
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from ..portal_api import PASSWORD, PORTS
from .scale_load import LIMIT, WINDOW, Client, Load

_READY_SECONDS = 180
_STOP_SECONDS = "10"  # stop_grace_period: Podman's Docker API kills at once without a timeout
_CHECK = ("python", "-m", "common.pyportal_common.gunicorn.healthcheck")


def compose(*arguments: str) -> str:
    """Run `docker compose`."""
    return _docker("compose", *arguments)


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"docker {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def containers(service: str) -> list[str]:
    """The ids of the replicas of a service."""
    return compose("ps", "--quiet", f"{service}-service").split()


def scale_to(number: int) -> None:
    """Start or stop replicas of each service, and wait until all are ready."""
    services = [f"{name}-service" for name in PORTS]
    options = [part for each in services for part in ("--scale", f"{each}={number}")]
    compose("up", "--detach", "--no-deps", "--no-recreate", "--wait", "--timeout", _STOP_SECONDS,
            *options, *services)  # fmt: skip
    found = {name: len(containers(name)) for name in PORTS}
    if set(found.values()) != {number}:
        sys.exit(f"{number} replicas of each service were expected: {found}")


def restart_one_by_one() -> int:
    """Restart each replica as soon as the one before is ready. Returns how many."""
    number = 0
    for name, port in PORTS.items():
        for container in containers(name):
            _docker("restart", "--time", _STOP_SECONDS, container)
            _wait_until_ready(container, port)
            number += 1
    return number


def _wait_until_ready(container: str, port: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while subprocess.run(["docker", "exec", container, *_CHECK, str(port)], check=False,
                         capture_output=True).returncode:  # fmt: skip
        if time.monotonic() > deadline:
            sys.exit(f"{container} was not ready in {_READY_SECONDS} s after its restart")
        time.sleep(0.2)


def scale_under_load(address: str, seconds: float) -> bool:
    """Run, and print what was counted. Whether a promise was broken."""
    scale_to(1)
    load = Load(address, _add_flight(address))
    began = time.monotonic()

    def note(what: str) -> None:
        total = sum(load.outcomes.values())
        print(f"{time.monotonic() - began:6.1f} s: {what}; {total:,} requests so far, "
              f"failed: {sum(load.failures().values())}", flush=True)  # fmt: skip

    with load.running():
        time.sleep(seconds)
        note("one replica of each service")
        scale_to(4)
        note("four replicas of each service")
        time.sleep(seconds)
        restarted = restart_one_by_one()
        note(f"{restarted} replicas restarted, one by one")
        scale_to(1)
        time.sleep(seconds)
        note("one replica of each service")
    return _print_result(load)


def _add_flight(address: str) -> int:
    """Create an admin, who adds the flight that clients book."""
    name = f"scaler{uuid.uuid4().hex[:12]}"
    compose(
        "exec", "-T", "-e", f"ADMIN_PASSWORD={PASSWORD}", "usermanagement-service",
        "flask", "--app", "wsgi", "users", "create-admin",
        "--username", name, "--email", f"{name}@example.com",
    )  # fmt: skip
    admin = Client(address)
    _, found = admin.send("POST", "/login", {"username": name, "password": PASSWORD})
    admin.session_id = found["session_id"]
    in_a_year = datetime.now(UTC) + timedelta(days=365)
    flight = {"flightNumber": "PY1", "origin": "LIS", "destination": "OSL",
              "departsAt": f"{in_a_year:%Y-%m-%dT%H:%M:%SZ}", "totalSeats": 500}  # fmt: skip
    _, found = admin.send("POST", "/flights", flight)
    return int(found["flight"]["flightId"])


def _print_result(load: Load) -> bool:
    failures, exceeded = load.failures(), load.exceeded()
    kinds = Counter({kind: 0 for kind, _ in load.outcomes})
    for (kind, _), count in load.outcomes.items():
        kinds[kind] += count
    print("requests: " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items())))
    print(f"the slowest took {load.slowest:.1f} s")
    print(f"tasks created: {load.created}, rows: {load.rows}")
    print(f"admitted by a limit of {LIMIT} in {WINDOW:.0f} s: {len(load.admitted):,}, "
          f"refused: {load.refused:,}, windows exceeded: {exceeded}")  # fmt: skip
    print(f"requests: {sum(kinds.values()):,}, failed: {sum(failures.values())}",
          failures or "", flush=True)  # fmt: skip
    return bool(failures or exceeded or load.created != load.rows)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=10, help="between the changes")
    options = parser.parse_args()
    return int(scale_under_load(urlsplit(options.url).netloc, options.seconds))


if __name__ == "__main__":
    sys.exit(main())
