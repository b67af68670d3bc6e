"""A program that child.py starts ends with its parent, however that ends, and holds a lock."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import child
from local.portal import LocalSettings
from local.processes import child_command, child_environment, is_running, kill_the_rest

from ..portal_api import wait_until

# A parent that starts its arguments through child.py, prints their process id, and waits.
PARENT = """
import os, subprocess, sys
program = subprocess.Popen(sys.argv[1:], env={**os.environ, "PORTAL_PARENT": str(os.getpid())})
print(program.pid, flush=True)
program.wait()
"""
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
WITH_A_FORK = [sys.executable, "-c", "import os, time; os.fork(); time.sleep(60)"]
# child.py on a system without PR_SET_PDEATHSIG
WATCHER = (
    "import runpy, sys; sys.platform = 'other'; sys.argv.pop(0); "
    f"runpy.run_path({child.__file__!r}, run_name='__main__')"
)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    settings = LocalSettings.load(data_dir=tmp_path)
    settings.run_dir.mkdir()
    yield settings
    kill_the_rest(settings)


def start(settings: LocalSettings, command: list[str]) -> tuple[subprocess.Popen[str], int]:
    """Start a parent with the command as its child. Returns the parent, and the child's pid."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *command],
        env=child_environment(settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    wait_until(lambda: is_running(settings), seconds=10)
    return parent, pid


def end(parent: subprocess.Popen[str], number: signal.Signals) -> None:
    with parent:
        parent.send_signal(number)


@pytest.mark.parametrize(
    "launcher",
    [child_command(), [sys.executable, "-c", WATCHER, "child.py"]],
    ids=["by the kernel", "by a watcher"],
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_ends_with_its_parent(
    settings: LocalSettings, launcher: list[str], number: signal.Signals
) -> None:
    parent, _ = start(settings, [*launcher, *SLEEP])

    end(parent, number)

    wait_until(lambda: not is_running(settings), seconds=10)


def test_the_watcher_ends_with_its_program(settings: LocalSettings) -> None:
    parent, pid = start(settings, [sys.executable, "-c", WATCHER, "child.py", *SLEEP])
    watchers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    os.kill(pid, signal.SIGKILL)

    assert len(watchers) == 1
    wait_until(lambda: not Path(f"/proc/{watchers[0]}").exists(), seconds=10)
    end(parent, signal.SIGKILL)


def test_a_program_whose_parent_has_ended_does_not_start(settings: LocalSettings) -> None:
    other = child_environment(settings) | {child.PARENT: "1"}

    done = subprocess.run(child_command(*SLEEP), env=other, check=False, timeout=10)

    assert done.returncode == 1


def test_the_lock_is_held_until_every_fork_has_ended(settings: LocalSettings) -> None:
    parent, pid = start(settings, child_command(*WITH_A_FORK))
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_until(lambda: bool(children.read_text()), seconds=10)
    fork = int(children.read_text())

    os.kill(pid, signal.SIGKILL)
    end(parent, signal.SIGKILL)

    assert is_running(settings)
    with contextlib.suppress(ProcessLookupError):
        os.kill(fork, signal.SIGKILL)
    wait_until(lambda: not is_running(settings), seconds=10)
