"""What clients of the running portal see while its processes are paused and killed."""

import os
import re
import signal
import statistics
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest

from ..portal_api import wait_until
from .conftest import UNLIMITED, NewPortal, Portal
from .test_metrics import sample

pytestmark = pytest.mark.slow

TRUST_SECONDS = 0.1  # how much longer a write takes while Redis is unavailable


@pytest.fixture
def portal(new_portal: NewPortal) -> Portal:
    """A running portal without rate limits, for one test."""
    portal = new_portal(**UNLIMITED, CACHE_TRUST_SECONDS=str(TRUST_SECONDS))
    portal.start()
    return portal


def redis_state(portal: Portal) -> str:
    return str(portal.request("GET", "/health").body["checks"]["redis"])


def wait_until_both_workers_report(portal: Portal, state: str) -> None:
    """Wait for 30 such responses in a row: either worker may send each of them."""
    wait_until(lambda: all(redis_state(portal) == state for _ in range(30)), seconds=10)


def test_registration_works_while_redis_hangs(portal: Portal) -> None:
    """Only the first request of each worker waits for the timeout, and each for trust to end."""
    portal.register("before")
    with portal.paused_redis():
        responses = [portal.register(f"hung{n}") for n in range(30)]
        timeouts = sample(portal, "redis_round_trip_duration_seconds_count", outcome="failed")

    assert {response.status for response in responses} == {201}
    assert 1 <= timeouts <= 2  # one a worker
    waited = [response.seconds for response in responses]
    assert min(waited) >= TRUST_SECONDS
    assert statistics.median(waited) < 0.5  # the timeout
    wait_until_both_workers_report(portal, "ok")
    assert portal.register("after").headers["X-RateLimit-Remaining"] < "99999"


def test_registration_and_its_limit_work_while_redis_is_down(new_portal: NewPortal) -> None:
    portal = new_portal(RATE_LIMIT_REGISTER="20/600", CACHE_TRUST_SECONDS=str(TRUST_SECONDS))
    portal.start()
    redis = portal.pid_of("valkey-server")
    # Without its configuration Redis stays down: supervisor tries to start it again at once.
    config_file = portal.data_dir / "run" / "redis.conf"
    config = config_file.read_text()
    config_file.unlink()
    os.kill(redis, signal.SIGKILL)

    responses = [portal.register(f"down{n}") for n in range(50)]

    statuses = [response.status for response in responses]
    assert set(statuses) == {201, 429}
    assert 20 <= statuses.count(201) <= 40  # each of two workers counts for itself
    refused = next(response for response in responses if response.status == 429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 600
    assert statistics.median(response.seconds for response in responses) < 0.5
    config_file.write_text(config)
    wait_until_both_workers_report(portal, "ok")


def test_each_worker_logs_an_outage_in_two_lines(portal: Portal) -> None:
    with portal.paused_redis():
        for n in range(20):
            portal.register(f"hung{n}")
    wait_until_both_workers_report(portal, "ok")

    # Besides these, the invalidations of the outage are sent afterwards.
    lines = [
        line
        for line in portal.log().splitlines()
        if re.search("redis", line, re.IGNORECASE) and "invalidations" not in line
    ]
    assert len(lines) in {2, 4}
    for part in ("is unavailable", "is back after"):
        assert sum(part in line for line in lines) == len(lines) / 2
    assert all("password" not in line for line in lines)


def test_killed_processes_are_restarted(portal: Portal) -> None:
    portal.register("before")

    os.kill(portal.pid_of("valkey-server"), signal.SIGKILL)
    wait_until(lambda: portal.make("redis", args="ping").stdout.strip() == "PONG", seconds=10)
    wait_until_both_workers_report(portal, "ok")
    after = portal.register("after")
    assert portal.redis("get user:lookup:username:after") == str(after.body["user"]["id"])

    os.kill(portal.pid_of("gunicorn"), signal.SIGKILL)
    # Its workers may respond for another moment, and then end.
    wait_until(lambda: portal.register("before").status == 409, seconds=20)
    assert "exited: redis" in portal.output()


def test_no_acknowledged_registration_is_lost_when_everything_is_killed(portal: Portal) -> None:
    acknowledged: list[str] = []

    def register_until_failure(client: int) -> None:
        for n in range(1000):
            name = f"c{client}-{n}"
            if portal.register(name).status != 201:
                return
            acknowledged.append(name)

    with ThreadPoolExecutor(8) as clients:
        running = [clients.submit(register_until_failure, n) for n in range(8)]
        wait_until(lambda: len(acknowledged) >= 60)
        portal.kill_all()
    failures = [client.exception() for client in running]
    broken = (OSError, HTTPException)  # the second for one that breaks in the middle of a response
    assert [each for each in failures if each is not None and not isinstance(each, broken)] == []

    portal.start()

    assert {portal.register(name).status for name in acknowledged} == {409}
