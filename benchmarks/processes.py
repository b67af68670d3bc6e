"""What a process and its descendants use, as Linux reports it in /proc."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")  # a second
_SERVICES = "-service"


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time so far, and the proportional share of memory."""

    cpu: float
    memory_mb: float

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu + other.cpu, self.memory_mb + other.memory_mb)


def usage_of_tree(pid: int) -> dict[str, Usage]:
    """By the part of the portal: Redis, each service's gunicorn and worker, and the rest."""
    found: dict[str, Usage] = {}
    for each in _tree(pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            name = _part(each)
            found[name] = found.get(name, Usage(0, 0)) + _usage(each)
    return found


def seconds_of_trees(*groups: Collection[int]) -> list[float]:
    """Seconds of processor time so far, of each group of processes with all below them."""
    parents, seconds = {}, {}
    for each in _PROC.glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = _fields(int(each.name))
            parents[int(each.name)] = int(fields[1])
            seconds[int(each.name)] = sum(map(int, fields[11:15])) / _TICKS
    return [
        sum(used for pid, used in seconds.items() if _is_below(pid, group, parents))
        for group in groups
    ]


def _is_below(pid: int, group: Collection[int], parents: Mapping[int, int]) -> bool:
    while pid not in group and pid in parents:
        pid = parents[pid]
    return pid in group


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for other in _PROC.glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(_fields(int(other.name))[1]) == pid:
                yield from _tree(int(other.name))


def _usage(pid: int) -> Usage:
    fields = _fields(pid)
    ticks = sum(map(int, fields[11:15]))  # its own and of the children that it has waited for
    rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
    kilobytes = next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:"))
    return Usage(ticks / _TICKS, int(kilobytes) / 1024)


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may contain anything: state, parent, …"""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _part(pid: int) -> str:
    """The part of the portal that a process is."""
    folder = _PROC / str(pid)
    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    directory = (folder / "cwd").readlink().name
    if "redis-server" in command or "valkey-server" in command:
        return "Redis"
    if not directory.endswith(_SERVICES):
        return "make run"
    role = "worker" if "app.worker" in command else "gunicorn"
    return f"{directory.removesuffix(_SERVICES)}, {role}"
