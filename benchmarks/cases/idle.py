"""What the whole portal uses when nobody does: processor time, memory, commands of Redis."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from common.pyportal_common.redis_server import free_port

from ..load import request, send
from ..meter import commands_of_clients
from ..processes import Usage, usage_of_tree
from ..scale import Scale
from ..servers import ROOT, wait_until
from ..tables import Aim, Report, Table

_SERVICES = ("usermanagement", "taskprocessing", "notification")
_SETTLE_SECONDS = 5.0  # until what a start causes has ended
_CPU_PERCENT, _COMMANDS_A_SECOND, _MEMORY_MB = 1.5, 5, 400  # at most


def run(scale: Scale) -> Report:
    """Measure `make run` and its Redis."""
    with tempfile.TemporaryDirectory() as folder, _portal(Path(folder)) as (pid, redis_port):
        time.sleep(min(_SETTLE_SECONDS, scale.idle_seconds))
        before, began = usage_of_tree(pid), time.monotonic()
        time.sleep(scale.idle_seconds)
        after, seconds = usage_of_tree(pid), time.monotonic() - began
        watched = scale.watched_seconds
        commands = sum(1 for _ in commands_of_clients(redis_port, watched)) / watched
    percent = {
        name: 100 * (after[name].cpu - usage.cpu) / seconds for name, usage in before.items()
    }
    return Report([_table(percent, after, commands)], _aims(percent, after, commands))


@contextmanager
def _portal(folder: Path) -> Iterator[tuple[int, int]]:
    """`make run` in an empty folder: the id of its first process, and the port of its Redis."""
    ports = {f"{name.upper()}_PORT": free_port() for name in _SERVICES}
    redis_port = free_port()
    environment = {
        **os.environ,
        **{name: str(port) for name, port in ports.items()},
        "DATA_DIR": str(folder / "data"),
        "REDIS_PORT": str(redis_port),
    }
    with (folder / "output.txt").open("wb") as output:
        command = [sys.executable, "-m", "local", "run"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        for port in ports.values():
            wait_until(partial(_is_ready, port), "The portal did not start.")
        yield process.pid, redis_port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _is_ready(port: int) -> bool:
    with suppress(OSError):
        response, _ = send(port, request("GET", "/readyz", {}))
        return response.status == 200
    return False


def _table(percent: dict[str, float], usage: dict[str, Usage], commands: float) -> Table:
    table = Table(("process", "CPU, % of a core", "memory (PSS), MB"))
    for name, share in percent.items():
        table.add(name, f"{share:.2f}", f"{usage[name].memory_mb:.0f}")
    memory = sum(each.memory_mb for each in usage.values())
    table.add("all", f"{sum(percent.values()):.2f}", f"{memory:.0f}")
    table.note = f"Redis received {commands:.1f} commands a second."
    return table


def _aims(percent: dict[str, float], usage: dict[str, Usage], commands: float) -> list[Aim]:
    memory = sum(each.memory_mb for each in usage.values())
    return [
        Aim(
            "CPU of the idle `make run`, % of a core", [sum(percent.values())], at_most=_CPU_PERCENT
        ),
        Aim(
            "commands a second of the idle `make run`",
            [commands],
            at_most=_COMMANDS_A_SECOND,
            digits=1,
        ),
        Aim("memory of `make run`, MB of PSS", [memory], at_most=_MEMORY_MB, digits=0),
    ]
