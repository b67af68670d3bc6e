"""/metrics of a service with two workers: the same counts, whichever worker responds."""

import os
import signal
import socket
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ..portal_api import wait_until
from .conftest import NewPortal, Portal, children

pytestmark = pytest.mark.slow


def sample(portal: Portal, name: str, **labels: str) -> float:
    connection = HTTPConnection("127.0.0.1", portal.port, timeout=10)
    with closing(connection):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    families = text_string_to_metric_families(text)
    return sum(
        found.value
        for family in families
        for found in family.samples
        if found.name == name and labels.items() <= found.labels.items()
    )


def counted_requests(portal: Portal) -> float:
    return sample(portal, "http_requests_total", route="/livez")


def workers(portal: Portal) -> list[int]:
    return children(portal.pid_of(f"127.0.0.1:{portal.port}"))


def kill_a_worker(portal: Portal) -> None:
    before = workers(portal)
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(workers(portal)) == 2 and before[0] not in workers(portal), seconds=10)


def test_counts_include_all_workers_also_those_that_were_killed(portal: Portal) -> None:
    sent = counted_requests(portal)
    for _ in range(4):
        for _ in range(50):
            portal.request("GET", "/livez")
        sent += 50
        assert {counted_requests(portal) for _ in range(20)} == {sent}
        kill_a_worker(portal)

    assert counted_requests(portal) == sent
    assert sample(portal, "http_requests_in_progress") == 1


def test_killed_workers_leave_no_files(portal: Portal) -> None:
    environment = Path(f"/proc/{workers(portal)[0]}/environ").read_bytes()
    assert b"PROMETHEUS_MULTIPROC_DIR" not in environment  # gunicorn sets it after it has started
    maps = Path(f"/proc/{workers(portal)[0]}/maps").read_text("utf-8")
    folders = {
        Path(line.split()[-1]).parent for line in maps.splitlines() if "pyportal-metrics-" in line
    }
    (folder,) = folders
    for _ in range(4):
        kill_a_worker(portal)
        for _ in range(20):
            portal.request("GET", "/livez")

    slots = {file.stem.rpartition("_")[2] for file in folder.iterdir()}
    assert slots <= {"main", "0", "1"}


def test_an_outage_of_redis_is_counted(new_portal: NewPortal) -> None:
    portal = new_portal(LOG_LEVEL="ERROR")
    portal.start()

    with portal.paused_redis():
        for _ in range(20):
            portal.request("GET", "/health")
        assert 1 <= sample(portal, "redis_breakers_open") <= 2

    wait_until(lambda: sample(portal, "redis_breakers_open") == 0, seconds=10)
    assert 1 <= sample(portal, "redis_outages_total") <= 2


def test_the_requests_of_a_killed_worker_are_no_longer_in_progress(portal: Portal) -> None:
    with socket.create_connection(("127.0.0.1", portal.port)) as stalled:
        stalled.sendall(b"POST /api/v1/airliner/login HTTP/1.1\r\nHost: x\r\n")
        stalled.sendall(b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
        wait_until(lambda: sample(portal, "http_requests_in_progress") == 2, seconds=5)

        for _ in range(2):
            kill_a_worker(portal)

        assert sample(portal, "http_requests_in_progress") == 1
