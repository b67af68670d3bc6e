"""A real fault fires the alert for it, and no other: with the rules and times that are shipped.

Each fault has a portal of its own. All are induced at once, because they mostly wait. `pytest -rP`
shows the seconds until each alert.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import pytest
import redis

from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.plugin import missing

from ..portal_api import User, wait_until
from .conftest import UNLIMITED, Portal
from .prometheus import Prometheus, scraping

pytestmark = pytest.mark.slow

SECONDS_TO_FIRE = 240.0
SECONDS_AFTERWARDS = 40.0  # during the fault, and again when it is over

Fault = Callable[[Portal], AbstractContextManager[None]]
Outcome = Future[tuple[set[str], float]]


@contextmanager
def redis_hangs(portal: Portal) -> Iterator[None]:
    with portal.paused_redis():
        yield


@contextmanager
def redis_refuses(portal: Portal) -> Iterator[None]:
    with redis.Redis(port=portal.redis_port) as server:
        server.config_set("maxmemory", 1)
        yield
        server.config_set("maxmemory", 0)


@contextmanager
def worker_is_dead(portal: Portal) -> Iterator[None]:
    """Killed, and not replaced, because supervisor is paused."""
    supervisor = int((portal.data_dir / "run" / "supervisord.pid").read_text())
    worker = portal.pid_of("app.worker", service="taskprocessing")
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    yield
    os.kill(supervisor, signal.SIGCONT)


@contextmanager
def mail_server_is_away(portal: Portal) -> Iterator[None]:  # noqa: ARG001  see `portal`
    """It has been since the start. Registrations send e-mails."""
    yield


@contextmanager
def disk_is_full(portal: Portal) -> Iterator[None]:
    filler = portal.data_dir / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    yield
    filler.unlink()


FAULTS: list[tuple[Fault, str]] = [
    (redis_hangs, "RedisDown"),
    (redis_refuses, "RedisRefusing"),
    (worker_is_dead, "WorkersMissing"),
    (mail_server_is_away, "DeliveriesDelayed"),
    (disk_is_full, "DiskFull"),
]


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """The folder is on a disk of 128 MB."""
    if os.geteuid() != 0:
        missing("root, to mount a small disk")
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", folder], check=True)
    yield
    subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def portal_for(fault: Fault, folder: Path) -> Iterator[Portal]:
    """A running portal without rate limits."""
    mails = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(free_port()), "SMTP_SECURITY": "none"}
    variables = mails if fault is mail_server_is_away else {}
    with ExitStack() as stack:
        if fault is disk_is_full:
            stack.enter_context(small_disk(folder / "data"))
        portal = Portal(folder, **UNLIMITED, **variables)
        stack.callback(portal.stop)
        portal.start()
        yield portal


@contextmanager
def users_of(portal: Portal) -> Iterator[None]:
    """Meanwhile users register, read and book, whatever they are answered."""
    admin = User.create_admin(portal)
    flight = admin.add_flight("AB1", 1000)
    is_over = threading.Event()

    def use() -> None:
        number = 0
        while not is_over.wait(0.3):
            number += 1
            with suppress(OSError, HTTPException, AssertionError):
                if number % 10 == 0:
                    portal.register(f"user{number}")
                    admin.book(flight)
                admin.request("GET", f"/users/{admin.user_id}")
                admin.request("GET", f"/flights/{flight}", service="taskprocessing")
                admin.request("GET", "/notifications", service="notification")

    thread = threading.Thread(target=use)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def fired(prometheus: Prometheus) -> set[str]:
    """All alerts that have fired so far."""
    query = 'count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1h]))'
    return {each["metric"]["alertname"] for each in prometheus.query(query)}


def fired_by(fault: Fault, portal: Portal, folder: Path) -> tuple[set[str], float]:
    """The alerts that a fault fires, also when it is over, and the seconds until the first."""
    with scraping(portal, folder, interval="5s") as prometheus, users_of(portal):
        if fault is not mail_server_is_away:
            time.sleep(SECONDS_AFTERWARDS)
            assert fired(prometheus) == set()
        with fault(portal):
            began = time.monotonic()
            wait_until(lambda: fired(prometheus) != set(), seconds=SECONDS_TO_FIRE)
            seconds = time.monotonic() - began
            time.sleep(SECONDS_AFTERWARDS)
        time.sleep(SECONDS_AFTERWARDS)
        return fired(prometheus), seconds


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Fault, Outcome]]:
    """What each fault fires, of all of them at once."""
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack, ThreadPoolExecutor(len(FAULTS)) as pool:
        running = {}
        for fault, _ in FAULTS:
            own = folder / fault.__name__
            portal = stack.enter_context(portal_for(fault, own))
            running[fault] = pool.submit(fired_by, fault, portal, own / "prometheus")
        wait(running.values())
        yield running


@pytest.mark.parametrize(("fault", "alert"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_fault_fires_its_alert_and_no_other(
    outcomes: dict[Fault, Outcome], fault: Fault, alert: str
) -> None:
    alerts, seconds = outcomes[fault].result()

    print(f"{fault.__name__}: {alert} after {seconds:.0f} s")
    assert alerts == {alert}
