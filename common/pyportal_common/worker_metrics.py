"""Metrics of several workers as one: each writes a file of its own, and any of them reads all.

prometheus_client names the files by process id, and keeps those of the dead, whose counts still
count. A worker that dies again and again would fill the folder, which is in memory. Here the files
belong to slots instead: a new worker goes on in the file of the dead one that it replaces.
"""

import os
import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, multiprocess, values

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_slots: dict[int, int] = {}  # this process's, by its id: a fork has none until it is given one


def share_metrics(parent: str | None) -> dict[str, Any]:
    """Let the workers that gunicorn forks share metrics; hooks for its settings.

    Before the first metric is made. The folder is one of its own in `parent`, which had better be
    in memory.
    """
    folder = tempfile.mkdtemp(prefix="pyportal-metrics-", dir=parent)
    os.environ[_FOLDER] = folder
    values.ValueClass = values.MultiProcessValue(_slot)
    return {
        "pre_fork": _choose_slot,
        "post_fork": _take_slot,
        "child_exit": _forget_gauges,
        "on_exit": lambda _server: shutil.rmtree(folder, ignore_errors=True),
    }


def collect_workers() -> CollectorRegistry | None:
    """The metrics of all workers, or None where nobody shares any."""
    if _FOLDER not in os.environ:
        return None
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return registry


def _slot() -> str:
    return str(_slots.get(os.getpid(), "main"))


def _choose_slot(server: Any, worker: Any) -> None:
    taken = {other.metrics_slot for other in server.WORKERS.values()}
    worker.metrics_slot = next(slot for slot in count() if slot not in taken)


def _take_slot(_server: Any, worker: Any) -> None:
    _slots[os.getpid()] = worker.metrics_slot


def _forget_gauges(_server: Any, worker: Any) -> None:
    for file in Path(os.environ[_FOLDER]).glob(f"gauge_live*_{worker.metrics_slot}.db"):
        file.unlink(missing_ok=True)
