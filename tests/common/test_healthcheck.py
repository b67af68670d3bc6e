"""What containers ask to know whether they are well, as they ask it: by the exit status."""

import socket
import subprocess
import sys
from pathlib import Path

from common.pyportal_common.jobs.metrics import WorkerMetrics
from common.pyportal_common.redis_server import free_port

ROOT = Path(__file__).parent.parent.parent


def asked(port: int, *path: str) -> int:
    command = [
        sys.executable,
        "-m",
        "common.pyportal_common.gunicorn.healthcheck",
        str(port),
        *path,
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def test_a_worker_is_well_while_its_metrics_answer() -> None:
    port = free_port()
    assert asked(port, "/metrics") == 1

    WorkerMetrics(port)

    assert asked(port, "/metrics") == 0


def test_a_process_that_accepts_and_says_nothing_is_not_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert asked(silent.getsockname()[1]) == 1
