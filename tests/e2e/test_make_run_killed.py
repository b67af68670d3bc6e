"""`make run` when its processes are killed, and when it is stopped under load."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.portal import LocalSettings
from local.processes import child_command, child_environment, is_running

from ..portal_api import REGISTER, User, registration, wait_until
from .conftest import UNLIMITED, NewPortal, Portal, children

# Names of a proxy that does not exist, for every kind of client.
PROXIES = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")


def supervisor(portal: Portal) -> int:
    return int((portal.data_dir / "run" / "supervisord.pid").read_text())


def make_run(portal: Portal) -> int:
    """The process of `make run` itself, which make has started."""
    return int(Path(f"/proc/{supervisor(portal)}/stat").read_text().rpartition(")")[2].split()[1])


def make(portal: Portal) -> int:
    return int(Path(f"/proc/{make_run(portal)}/stat").read_text().rpartition(")")[2].split()[1])


def everything_ends(portal: Portal) -> bool:
    wait_until(lambda: portal.processes() == [], seconds=20)
    return True


@pytest.mark.parametrize(
    "victim",
    [
        supervisor,
        pytest.param(make_run, marks=pytest.mark.slow),
        pytest.param(make, marks=pytest.mark.slow),
    ],
)
def test_everything_ends_when_one_process_is_killed(
    new_portal: NewPortal, victim: Callable[[Portal], int]
) -> None:
    portal = new_portal(**PROXIES)
    portal.start()
    assert portal.register("john_doe").status == 201

    os.kill(victim(portal), signal.SIGKILL)

    assert everything_ends(portal)


@pytest.mark.slow
def test_the_next_run_waits_for_the_processes_of_a_killed_one(own_portal: Portal) -> None:
    john = User.register(own_portal, "john_doe")
    own_portal.signal(signal.SIGKILL, to_group=True)

    own_portal.start()

    assert (
        john.fetch("GET", f"/users/{john.user_id}", service="usermanagement")["user"]["username"]
        == "john_doe"
    )


@pytest.mark.parametrize("target", ["reset", pytest.param("run", marks=pytest.mark.slow)])
def test_a_process_that_does_not_end_keeps_the_data(new_portal: NewPortal, target: str) -> None:
    portal = new_portal()
    settings = LocalSettings.load(data_dir=portal.data_dir)
    settings.run_dir.mkdir(parents=True)
    settings.marker.touch()
    sleep = [sys.executable, "-c", "import time; time.sleep(100)"]
    with subprocess.Popen(child_command(*sleep), env=child_environment(settings)) as process:
        wait_until(lambda: is_running(settings), seconds=10)

        refused = portal.make(target)

        assert f"stop them with `kill -9 {process.pid}`" in refused.stderr
        assert settings.marker.exists()
        process.kill()
    assert portal.make("reset").returncode == 0


@pytest.mark.slow
def test_every_killed_process_is_restarted_and_keeps_its_log(own_portal: Portal) -> None:
    names = ["redis"]
    names += [name for service in LocalSettings().services for name in service.processes]
    before = {name: own_portal.log(name) for name in names}
    killed = children(supervisor(own_portal))

    for pid in killed:
        os.kill(pid, signal.SIGKILL)

    def all_are_back() -> bool:
        now = children(supervisor(own_portal))
        return len(now) == len(killed) and not set(now) & set(killed)

    wait_until(all_are_back, seconds=30)
    wait_until(lambda: own_portal.request("GET", "/health").body["status"] == "ok", seconds=30)
    for name in names:
        assert own_portal.log(name).startswith(before[name])
    assert "terminated by SIGKILL; not expected" in own_portal.output()


@pytest.mark.slow
def test_a_damaged_append_only_file_costs_the_sessions_only(own_portal: Portal) -> None:
    john = User.register(own_portal, "john_doe")
    own_portal.signal(signal.SIGINT, to_group=True)
    (file,) = (own_portal.data_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    file.write_bytes(file.read_bytes() + b"\0" * 12)

    own_portal.start()

    assert "Redis cannot load its data: Bad file format" in own_portal.output()
    path = f"/api/v1/airliner/users/{john.user_id}"
    assert own_portal.request("GET", path, session_id=john.session_id).status == 401
    again = User(own_portal, "john_doe")
    assert own_portal.request("GET", path, session_id=again.session_id).status == 200


def kill_redis(portal: Portal) -> None:
    os.kill(portal.pid_of("valkey-server"), signal.SIGKILL)


def redis_answers(portal: Portal) -> bool:
    """Whether Redis answers all processes: each finds out for itself, and one answers a request."""
    answers = [portal.request("GET", "/health").body["checks"]["redis"] for _ in range(10)]
    return answers == ["ok"] * 10


@pytest.mark.slow
def test_data_that_is_damaged_meanwhile_costs_the_sessions_only(own_portal: Portal) -> None:
    john = User.register(own_portal, "john_doe")
    (file,) = (own_portal.data_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    wait_until(lambda: file.stat().st_size > 1000, seconds=10)
    with file.open("r+b") as damaged:
        damaged.seek(file.read_bytes().index(b"\r\n*", 500))  # the end of a command
        damaged.write(b"X" * 50)

    kill_redis(own_portal)

    wait_until(lambda: len(aside(own_portal)) == 1 and redis_answers(own_portal), seconds=30)
    assert own_portal.register("jane_doe").status == 201
    path = f"/api/v1/airliner/users/{john.user_id}"
    assert own_portal.request("GET", path, session_id=john.session_id).status == 401
    again = User(own_portal, "john_doe")
    assert own_portal.request("GET", path, session_id=again.session_id).status == 200

    before = own_portal.log("redis")
    kill_redis(own_portal)

    wait_until(lambda: own_portal.log("redis").count("Ready to accept") == 3, seconds=30)
    after = own_portal.log("redis").removeprefix(before)
    assert after.count("starting") == 1
    lines = own_portal.output().splitlines()
    (line,) = (line for line in lines if "Redis cannot load its data: Bad file format" in line)
    assert str(*aside(own_portal)) in line
    assert "users have to log in again" in line
    wait_until(lambda: redis_answers(own_portal), seconds=30)
    assert own_portal.request("GET", path, session_id=again.session_id).status == 200


def aside(portal: Portal) -> list[Path]:
    return list(portal.data_dir.glob("valkey-*"))


class Load:
    """Clients that register users until the portal is gone."""

    def __init__(self, portal: Portal, threads: int) -> None:
        self._portal = portal
        self._is_over = threading.Event()
        self.responses = 0
        self._pool = ThreadPoolExecutor(threads)
        for number in range(threads):
            self._pool.submit(self._register, number)

    def _register(self, number: int) -> None:
        for count in range(100_000):
            if self._is_over.is_set():
                return
            try:
                body = registration(f"user_{number}_{count}")
                self._portal.request("POST", REGISTER, body)
            except OSError:
                time.sleep(0.01)
            else:
                self.responses += 1

    def end(self) -> None:
        """Stop the clients."""
        self._is_over.set()
        self._pool.shutdown()


def test_ctrl_c_under_load_stops_every_process_in_order(
    new_portal: NewPortal, capsys: pytest.CaptureFixture[str]
) -> None:
    portal = new_portal(**UNLIMITED)
    portal.start()
    load = Load(portal, threads=32)
    wait_until(lambda: load.responses > 200, seconds=60)

    seconds = portal.signal(signal.SIGINT, to_group=True)

    load.end()
    log = portal.log("supervisord")
    names = [name for service in LocalSettings().services for name in service.processes]
    stopped = re.findall(r"stopped: (\S+) \((.*)\)", log)
    assert sorted(stopped) == sorted((name, "exit status 0") for name in ["redis", *names])
    assert "SIGKILL" not in log
    with capsys.disabled():
        print(f" stopped under load in {seconds:.1f} s")
    assert portal.processes() == []
