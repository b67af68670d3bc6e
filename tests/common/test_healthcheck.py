"""The health check of containers: its exit status, and what it imports."""

import os
import socket
import subprocess
import sys

from common.pyportal_common.jobs.metrics import WorkerMetrics
from common.pyportal_common.redis_server import free_port

from .load import ROOT

MODULE = "common.pyportal_common.gunicorn.healthcheck"


def check(port: int, *path: str) -> int:
    command = [sys.executable, "-m", MODULE, str(port), *path]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def test_a_worker_is_healthy_while_it_serves_its_metrics() -> None:
    port = free_port()
    assert check(port, "/metrics") == 1

    WorkerMetrics(port)

    assert check(port, "/metrics") == 0


def test_a_process_that_accepts_and_does_not_respond_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert check(silent.getsockname()[1]) == 1


def test_it_imports_only_the_standard_library() -> None:
    """Containers run it every five seconds."""
    program = f"import {MODULE}, sys; print(*sys.modules)"

    # -S: without site-packages, and so without what their .pth files import
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    packages = {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names}
    parts = MODULE.split(".")
    assert packages - {"__main__"} == {".".join(parts[:length]) for length in range(1, 5)}
