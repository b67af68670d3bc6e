"""Memory and descriptors of processes, by /proc, and of Redis."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.pyportal_common.redis_server import RedisServer

from ..servers import command

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Series:
    """What is sampled of a process: "pss" and "used_memory" are bytes, the others are counts."""

    process: str
    quantity: str


Sample = Mapping[Series, float]


def sample(pids: Mapping[str, int], redis: RedisServer) -> dict[Series, float]:
    """One sample of these processes with their children, and of Redis."""
    found: dict[Series, float] = {}
    for role, pid in pids.items():
        for name, each in _with_children(role, pid):
            found[Series(name, "pss")] = pss(each)
            found[Series(name, "descriptors")] = descriptors(each)
    info = _info(redis)
    found[Series("redis", "used_memory")] = float(info["used_memory"])
    found[Series("redis", "clients")] = float(info["connected_clients"])
    return found


def pss(pid: int) -> float:
    """The memory of a process in bytes; of what it shares with others, its part."""
    for line in (_PROC / str(pid) / "smaps_rollup").read_text("utf-8").splitlines():
        if line.startswith("Pss:"):
            return float(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no Pss")


def descriptors(pid: int) -> float:
    """The open descriptors of a process."""
    return len(list((_PROC / str(pid) / "fd").iterdir()))


def _with_children(role: str, pid: int) -> Iterator[tuple[str, int]]:
    yield role, pid
    children = (_PROC / str(pid) / "task" / str(pid) / "children").read_text("utf-8").split()
    for number, child in enumerate(sorted(map(int, children)), 1):
        yield f"{role} {number}", child


def _info(redis: RedisServer) -> dict[str, str]:
    lines = str(command(redis, "INFO")).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
