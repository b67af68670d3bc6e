"""Runs Python programs in forks of supervisord, which has imported the packages that they use.

The forks share the memory of these packages, and start sooner. The code in the folder of a service
is imported by each program for itself.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import runpy
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from common.pyportal_common.exits import exit_at_once

from .child import PARENT, end_with_parent, hold_lock
from .processes import child_command

# The largest, and what imports the others. None of them opens a file or starts a thread, and none
# looks at the working directory, as gunicorn does.
_PACKAGES = (
    "common.pyportal_common.jobs.services",
    "common.pyportal_common.web",
    "cronsim",
    "email_validator",
    "flask",
    "httpcore",
    "prometheus_client.multiprocess",
    "pydantic_settings",
    "redis.sentinel",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.orm",
)


def import_packages() -> None:
    """Import what the forks share, and never write to it again for the garbage collection."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _PACKAGES:
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def can_fork(command: Sequence[str]) -> bool:
    """Whether a command is one of `child_command` that runs a module of Python.

    Only on Linux: frameworks of macOS do not work in forks.
    """
    return sys.platform == "linux" and list(command[: len(_launch())]) == _launch()


def run_in_fork(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Go on as this command, in a new fork, as if it was executed."""
    module, *arguments = command[len(_launch()) :]
    os.environ.clear()
    os.environ.update(environment)
    _reset_signals()
    _set_title([sys.executable, "-m", module, *arguments])
    sys.argv = [module, *arguments]
    sys.path[0] = str(Path.cwd())
    try:
        end_with_parent(int(os.environ[PARENT]))
        hold_lock()
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = _status(end)
    except BaseException:  # noqa: BLE001  as the interpreter does
        traceback.print_exc()
        status = 1
    exit_at_once(status)


def _launch() -> list[str]:
    return child_command(sys.executable, "-m")


def _reset_signals() -> None:
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _status(end: SystemExit) -> int:
    if isinstance(end.code, str):
        print(end.code, file=sys.stderr)
        return 1
    return end.code or 0


def _set_title(command: Sequence[str]) -> None:
    """What `ps` shows: the kernel reads it from where the arguments of supervisord were."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        title = b"\0".join(word.encode() for word in command)
        if start and len(title) < end - start:
            ctypes.memset(start, 0, end - start)
            ctypes.memmove(start, title, len(title))
