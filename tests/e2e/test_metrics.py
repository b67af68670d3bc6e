"""/metrics of a service with two workers: one truth, whichever of them answers."""

import os
import signal
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from .conftest import Portal, wait_until


def sample(portal: Portal, name: str, **labels: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{portal.port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return sum(
        found.value
        for family in families
        for found in family.samples
        if found.name == name and labels.items() <= found.labels.items()
    )


def counted(portal: Portal) -> float:
    return sample(portal, "http_requests_total", route="/livez")


def master(portal: Portal) -> int:
    return portal.pid_of(f"127.0.0.1:{portal.port}")


def workers(portal: Portal) -> list[int]:
    pid = master(portal)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return [int(child) for child in children]


def kill_a_worker(portal: Portal) -> None:
    before = workers(portal)
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(workers(portal)) == 2 and before[0] not in workers(portal), seconds=10)


def test_all_workers_count_as_one_and_no_count_dies_with_a_worker(portal: Portal) -> None:
    asked = counted(portal)
    for _ in range(4):
        for _ in range(50):
            portal.request("GET", "/livez")
        asked += 50
        assert {counted(portal) for _ in range(20)} == {asked}
        kill_a_worker(portal)

    assert counted(portal) == asked
    assert sample(portal, "http_requests_in_progress") == 1


def test_workers_that_come_and_go_leave_no_files(portal: Portal) -> None:
    environment = Path(f"/proc/{workers(portal)[0]}/environ").read_bytes()
    assert b"PROMETHEUS_MULTIPROC_DIR" not in environment  # gunicorn made it after it started
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


def test_an_outage_of_redis_shows_and_passes(new_portal: Callable[..., Portal]) -> None:
    portal = new_portal(LOG_LEVEL="ERROR")
    portal.start()
    redis = portal.pid_of("valkey-server")

    os.kill(redis, signal.SIGSTOP)
    try:
        for _ in range(20):
            portal.request("GET", "/health")
        assert 1 <= sample(portal, "redis_breakers_open") <= 2
    finally:
        os.kill(redis, signal.SIGCONT)

    wait_until(lambda: sample(portal, "redis_breakers_open") == 0, seconds=10)
    assert 1 <= sample(portal, "redis_outages_total") <= 2


def test_a_request_that_dies_with_its_worker_is_in_progress_no_more(portal: Portal) -> None:
    with socket.create_connection(("127.0.0.1", portal.port)) as stalled:
        stalled.sendall(b"POST /api/v1/airliner/login HTTP/1.1\r\nHost: x\r\n")
        stalled.sendall(b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
        wait_until(lambda: sample(portal, "http_requests_in_progress") == 2, seconds=5)

        for _ in range(2):
            kill_a_worker(portal)

        assert sample(portal, "http_requests_in_progress") == 1
