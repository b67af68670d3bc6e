"""What each process of a run writes down, a line an event, at once: it outlives a SIGKILL."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

# Nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share.
now = time.monotonic_ns


class Journal:
    """A file that one process appends to, from any of its threads."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, *words: object) -> None:
        """Write a line, with one system call and nothing kept back."""
        os.write(self._descriptor, (" ".join(map(str, words)) + "\n").encode())


def lines_of(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The lines of all journals in `folder`: the process and the words of each."""
    for path in sorted(folder.glob("*.journal")):
        for line in path.read_text("utf-8").splitlines(keepends=True):
            if line.endswith("\n"):  # else its process died in the midst of it
                yield path.stem, line.split()
