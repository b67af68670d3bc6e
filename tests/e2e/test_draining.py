"""A service that is stopped under load responds to every request that it has accepted."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import pytest

from common.pyportal_common.redis_server import free_port

from ..compose.load import NOT_ACCEPTED, load, send
from ..portal_api import wait_until
from .conftest import ROOT, children

pytestmark = pytest.mark.slow

REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


class Service:
    """User Management under gunicorn, without supervisor and Redis: /livez needs neither."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "wsgi"],
            cwd=ROOT / "usermanagement-service",
            env={**os.environ, "DATA_DIR": str(folder), "REDIS_URL": "redis://127.0.0.1:1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        probe = HTTPConnection("127.0.0.1", self.port, timeout=10)
        wait_until(lambda: send(probe, "/livez", {}) == "200" and len(self.workers()) == 2, 20)
        probe.close()

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return children(self.process.pid)

    def stop(self) -> None:
        """Send SIGTERM and wait."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    def wait_until_closed(self) -> None:
        """Return when no process of it listens any more."""

        def refuses() -> bool:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=0.05).close()
            except ConnectionRefusedError:
                return True
            except TimeoutError:  # the handshake is dropped
                pass
            return False

        wait_until(refuses, 10)

    def connect(self) -> socket.socket:
        """A new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.process.kill()
    service.process.wait(10)


def load_during(service: Service, event: Callable[[], object]) -> Counter[str]:
    """The outcomes of requests on new connections before, during and after an event."""
    is_over = Event()
    url = f"http://127.0.0.1:{service.port}/livez"
    with ThreadPoolExecutor(1) as pool:
        outcomes = pool.submit(load, url, is_over.is_set, threads=32, keep_alive=False)
        time.sleep(0.5)
        event()
        time.sleep(0.5)
        is_over.set()
        return outcomes.result()


@pytest.mark.parametrize("_attempt", range(3))
def test_every_accepted_request_gets_a_response(service: Service, _attempt: int) -> None:
    outcomes = load_during(service, service.stop)

    assert outcomes["200"] > 100
    assert set(outcomes) == {"200", NOT_ACCEPTED}


def test_no_handshake_begins_once_the_service_stops(service: Service) -> None:
    """Otherwise one may complete between a worker's last accept and its close, which resets it.

    That happens in about one of fifteen stops under load: the load test alone does not show it.
    """
    outcomes = []
    with socket.create_connection(("127.0.0.1", service.port)):  # the workers wait for this one
        service.process.send_signal(signal.SIGTERM)
        while "ConnectionRefusedError" not in outcomes:
            try:
                socket.create_connection(("127.0.0.1", service.port), timeout=0.05).close()
            except OSError as error:
                outcomes.append(type(error).__name__)
            else:
                outcomes.append("established")

    assert "TimeoutError" in outcomes
    assert "established" not in outcomes[outcomes.index("TimeoutError") :]


def test_it_waits_for_connections_without_a_request(service: Service) -> None:
    """There are more of them than threads, so that some wait for a thread."""
    connections = [service.connect() for _ in range(40)]

    service.process.send_signal(signal.SIGTERM)
    service.wait_until_closed()
    for connection in connections:
        connection.sendall(REQUEST)
    responses = []
    for connection in connections:
        with connection:
            responses.append(connection.recv(65536))

    assert all(text.startswith(b"HTTP/1.1 200") for text in responses)
    assert all(b"Connection: close" in text for text in responses)
    assert service.process.wait(10) == 0


def test_it_refuses_connections_while_it_serves_the_last_ones(service: Service) -> None:
    idle = service.connect()
    service.process.send_signal(signal.SIGTERM)
    service.wait_until_closed()

    with pytest.raises(ConnectionRefusedError):
        service.connect()

    assert service.process.poll() is None  # it still waits for the idle connection
    with idle:
        idle.sendall(REQUEST)
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")


def test_the_end_of_one_worker_refuses_no_connection(service: Service) -> None:
    first, _ = service.workers()

    def stop_one() -> None:
        os.kill(first, signal.SIGTERM)
        wait_until(lambda: first not in service.workers(), seconds=10)

    assert set(load_during(service, stop_one)) == {"200"}


def reload(service: Service) -> None:
    before = set(service.workers())
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not before & set(service.workers()), seconds=10)


def test_a_reload_refuses_no_connection(service: Service) -> None:
    for _ in range(3):  # the settings are read again each time
        assert set(load_during(service, lambda: reload(service))) == {"200"}


def test_silent_clients_cannot_delay_the_end(service: Service) -> None:
    """supervisor (stopwaitsecs) and Docker (stop_grace_period) kill a service that takes longer."""
    silent = [service.connect() for _ in range(40)]
    started_at = time.monotonic()

    service.stop()

    assert time.monotonic() - started_at < 5
    for connection in silent:
        connection.close()
