"""A logout in the portal stays, although Redis crashes and loses its last writes."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis

from ..portal_api import User, wait_until
from .conftest import Portal

PROCESSES = 9  # of each service two that serve requests, and a worker
SECONDS = 120

READS = {
    "usermanagement": "/session",
    "taskprocessing": "/bookings",
    "notification": "/notifications",
}


@contextmanager
def connected(portal: Portal) -> Iterator["redis.Redis"]:
    """A client of the portal's Redis."""
    with closing(redis.Redis(port=portal.redis_port)) as client:
        yield client


def save_data(portal: Portal, folder: Path) -> None:
    """Copy Redis's append-only file with all writes that were acknowledged."""
    with connected(portal) as client:
        wait_until(lambda: client.info("persistence")["aof_buffer_length"] == 0, seconds=SECONDS)
    shutil.copytree(portal.data_dir / "valkey", folder)


def crash_and_lose_writes(portal: Portal, older: Path) -> None:
    """Kill Redis and put older data in the place of its own before it starts again."""
    supervisor = int((portal.data_dir / "run" / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(portal.pid_of("valkey-server"), signal.SIGKILL)
        shutil.rmtree(portal.data_dir / "valkey")
        shutil.copytree(older, portal.data_dir / "valkey")
    finally:
        os.kill(supervisor, signal.SIGCONT)


def followers(portal: Portal) -> int:
    """How many processes follow the ends of sessions."""
    with connected(portal) as client:
        return sum(each["cmd"] == "xread" for each in client.client_list())


def status_of(user: User, service: str) -> int:
    return user.request("GET", READS[service], service=service).status


@pytest.mark.slow
def test_a_session_stays_ended_in_all_services(own_portal: Portal, tmp_path: Path) -> None:
    portal = own_portal
    john, jane = User.register(portal, "john_doe"), User.register(portal, "jane_doe")
    wait_until(lambda: followers(portal) >= PROCESSES, seconds=SECONDS)
    save_data(portal, tmp_path / "older")
    assert {status_of(john, service) for service in READS} == {200}
    assert john.request("POST", "/logout").status < 300

    crash_and_lose_writes(portal, tmp_path / "older")

    found: list[int] = []

    def is_back() -> bool:
        """Whether all services have read both sessions."""
        answers = [(status_of(john, each), status_of(jane, each)) for each in READS for _ in "1234"]
        found.extend(johns for johns, _ in answers)
        return all(johns == 401 and janes == 200 for johns, janes in answers)

    wait_until(is_back, seconds=SECONDS)
    assert set(found) <= {401, 503}
    logs = [portal.log(f"{name}{part}") for name in READS for part in ("", "-worker")]
    assert any("had lost ends of sessions: 1 have" in log for log in logs)
