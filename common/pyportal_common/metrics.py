"""Metrics shared by the workers of a server: each writes its own files, and any of them reads all.

prometheus_client names the files by process id and keeps those of dead workers, whose counts are
part of the totals. So every worker that dies would leave files in a folder that is in memory. Here
the files belong to slots: a new worker continues the files of the dead one that it replaces.
"""

import atexit
import os
import shutil
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from .extras import requires

with requires("gunicorn"):
    from prometheus_client import CollectorRegistry, Metric, generate_latest, multiprocess, values

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "pyportal-metrics-"
_TRIES = 5
_PAIR = struct.Struct("dd")  # a number in a file of prometheus_client, and a time that is not used

_Read = TypeVar("_Read")
_slots: dict[int, int] = {}  # by process id: a forked process has none until `_take_slot`


def share_metrics(parent: str | None) -> dict[str, Any]:
    """Make the workers that gunicorn forks share metrics. Returns hooks for gunicorn's settings.

    Must be called before the first metric is created. The files are in a new folder in `parent`,
    which should be in memory.
    """
    os.environ[_FOLDER] = _folder(Path(parent or tempfile.gettempdir()))
    values.ValueClass = _shared_value()
    return {"pre_fork": _choose_slot, "post_fork": _take_slot, "child_exit": _remove_gauges}


def exposition(registry: CollectorRegistry) -> bytes:
    """The metrics as text for Prometheus: of all workers if they share them, else `registry`."""
    return _read(registry, generate_latest)


def collected(registry: CollectorRegistry) -> list[Metric]:
    """The same metrics as objects."""
    return _read(registry, lambda registry: list(registry.collect()))


def _read(registry: CollectorRegistry, read: Callable[[CollectorRegistry], _Read]) -> _Read:
    if _FOLDER not in os.environ:
        return read(registry)
    shared = CollectorRegistry()
    multiprocess.MultiProcessCollector(shared)
    for _ in range(_TRIES):
        try:
            return read(shared)
        except struct.error:  # a worker that is starting has created its file and not yet filled it
            time.sleep(0.02)
    return read(shared)


@cache  # gunicorn reads its settings again at SIGHUP, and the counts continue
def _folder(parent: Path) -> str:
    owner = os.getpid()
    for leftover in parent.glob(f"{_PREFIX}*"):  # by a server that was killed
        pid = leftover.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(leftover, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{owner}-", dir=parent)

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


@cache  # at SIGHUP, too: the numbers of the server stay those that a new worker reopens
def _shared_value() -> type[Any]:
    """The class of the numbers in the files of the process's slot.

    The parent class asks for the process at each increment, which takes more time than the rest.
    Here a worker says once that it is new, by `reopen`. Every increment is written at once: nothing
    is lost with a worker, and each scrape is exact.
    """
    guard = threading.Lock()

    class SharedValue(values.MultiProcessValue(_slot)):  # type: ignore[misc]  # made by a function
        newest: Any = None

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            SharedValue.newest = self

        def inc(self, amount: float) -> None:
            with guard:
                self._value += amount
                file = self._file
                position = file._positions[self._key]  # noqa: SLF001  faster than its method
                _PAIR.pack_into(file._m, position, self._value, 0.0)  # noqa: SLF001

        @classmethod
        def reopen(cls) -> None:
            """Continue all numbers in the files of this process's slot."""
            if cls.newest is not None:
                cls.newest.get()

    return SharedValue


def _slot() -> str:
    return str(_slots.get(os.getpid(), "main"))


def _choose_slot(server: Any, worker: Any) -> None:
    Path(os.environ[_FOLDER]).mkdir(mode=0o700, exist_ok=True)  # may have been cleaned up
    taken = {other.metrics_slot for other in server.WORKERS.values()}
    worker.metrics_slot = next(slot for slot in count() if slot not in taken)


def _take_slot(_server: Any, worker: Any) -> None:
    _slots[os.getpid()] = worker.metrics_slot
    values.ValueClass.reopen()


def _remove_gauges(_server: Any, worker: Any) -> None:
    for file in Path(os.environ[_FOLDER]).glob(f"gauge_live*_{worker.metrics_slot}.db"):
        file.unlink(missing_ok=True)
