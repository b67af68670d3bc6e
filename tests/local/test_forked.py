"""The programs of `make run` are forks of supervisord, and behave as if they were executed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.child import LOCK, PARENT
from local.forked import can_fork
from local.processes import child_command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are executed there")

IMPORTS = """
import json, os, sys, threading
from local.forked import import_packages

def state():
    return sorted(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

state()
before = state()
import_packages()
from prometheus_client import REGISTRY
usual = ("python_", "process_")
metrics = [name for name in REGISTRY._names_to_collectors if not name.startswith(usual)]
looks = [name for name in sys.modules if name.split(".")[0] in ("gunicorn", "app", "wsgi")]
print(json.dumps([before, state(), metrics, looks]))
"""
FORKS = """
import os, signal, sys
from pathlib import Path
from local.forked import import_packages, run_in_fork
from local.processes import child_command

signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGINT, lambda *_: None)
folder, *arguments = sys.argv[1:]
environment = os.environ | {"ADDED": "yes", "PORTAL_PARENT": str(os.getpid())}
import_packages()
pid = os.fork()
if not pid:
    os.chdir(folder)
    run_in_fork(child_command(sys.executable, "-m", "program", *arguments), environment)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)
"""
REPORT = """
import json, os, signal, sys
import flask
if __name__ == "__main__":
    print(json.dumps({
        "arguments": sys.argv[1:],
        "path": sys.path[0],
        "added": os.environ["ADDED"],
        "title": open("/proc/self/cmdline").read().rstrip("\\0").split("\\0"),
        "SIGTERM": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "SIGINT": signal.getsignal(signal.SIGINT) == signal.default_int_handler,
        "locked": os.path.realpath(os.environ["PORTAL_LOCK"]) in [
            os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
        ],
    }))
"""


def run_program(folder: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fork."""
    (folder / "program.py").write_text(source, "utf-8")
    # The name of the script is long enough to hold the title of its fork.
    script = folder / f"{'x' * 150}.py"
    script.write_text(FORKS, "utf-8")
    return subprocess.run(
        [sys.executable, str(script), str(folder), *arguments],
        env={**os.environ, LOCK: str(folder / "lock"), PARENT: str(os.getpid())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nothing_is_open_before_the_fork() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=60, check=True
    )

    before, after, metrics, looks = json.loads(done.stdout)
    assert after == before  # files, sockets and threads
    assert before[1] == 1
    assert metrics == []  # gunicorn has not said yet that its workers share them
    assert looks == []  # these look at the working directory


def test_a_fork_is_as_if_executed(tmp_path: Path) -> None:
    done = run_program(tmp_path, REPORT, "--port", "1")

    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report == {
        "arguments": ["--port", "1"],
        "path": str(tmp_path),
        "added": "yes",
        "title": [sys.executable, "-m", "program", "--port", "1"],
        "SIGTERM": True,
        "SIGINT": True,
        "locked": True,
    }


@pytest.mark.parametrize(
    ("source", "status", "error"),
    [
        ("", 0, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('no such port')", 1, "no such port\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        (f"import os; os.kill(os.getpid(), {signal.SIGTERM.value})", 256 - signal.SIGTERM, ""),
    ],
)
def test_a_fork_ends_as_the_program_does(
    tmp_path: Path, source: str, status: int, error: str
) -> None:
    done = run_program(tmp_path, source)

    assert done.returncode == status, done.stderr
    assert done.stderr.endswith(error)
    assert bool(done.stderr) == bool(error)


def test_a_fork_flushes_what_it_has_printed_and_calls_its_exit_functions(tmp_path: Path) -> None:
    source = "import atexit; atexit.register(print, 'bye'); print('hello')"

    assert run_program(tmp_path, source).stdout == "hello\nbye\n"


@pytest.mark.parametrize(
    ("command", "forks"),
    [
        (child_command(sys.executable, "-m", "gunicorn", "wsgi"), True),
        (child_command(sys.executable, "-I", "-S", "redis_start.py"), False),
        (child_command("/usr/bin/redis-server"), False),
        ([sys.executable, "-m", "gunicorn"], False),
    ],
)
def test_only_modules_of_python_are_forked(command: list[str], forks: bool) -> None:
    assert can_fork(command) is forks
