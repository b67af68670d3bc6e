"""What each process of a run records, one line per event, written at once: it survives SIGKILL."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share.
now = time.monotonic_ns


class Journal:
    """A file that processes append to, from any of their threads."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, *words: object) -> None:
        """Append a line with one unbuffered system call."""
        os.write(self._descriptor, (" ".join(map(str, words)) + "\n").encode())

    def fault(self, kind: str, begin: int | None = None, end: int | None = None) -> None:
        """Append a fault: from `begin` until now, or one that takes no time."""
        moment = now()
        self.note("fault", kind, begin or moment, end or moment)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that happened, as in redis-killed:loses-writes. Times are nanoseconds."""

    kind: str
    begin: int
    end: int


def read_lines(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The lines of all journals in `folder`: the process and the words of each line."""
    for path in sorted(folder.glob("*.journal")):
        for line in path.read_text("utf-8").splitlines(keepends=True):
            if line.endswith("\n"):  # otherwise the process died while it wrote the line
                yield path.stem, line.split()


def read_faults(folder: Path) -> list[Fault]:
    """All faults of a run."""
    found = (words for _, words in read_lines(folder) if words[0] == "fault")
    return [Fault(kind, int(begin), int(end)) for _, kind, begin, end in found]
