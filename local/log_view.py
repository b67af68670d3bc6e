"""The logs of several processes in one terminal, each line with the name of its process."""

import contextlib
import os
import re
import sys
import threading
from pathlib import Path
from typing import BinaryIO, Self

_QUIET = re.compile(r"[-0-9]+ [:0-9,]+ (INFO|DEBG|TRAC|BLAT) ")  # lines of supervisor

_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds; it grows while nobody writes

_COLOURS = (36, 32, 33, 35, 34)  # ANSI


class LogView:
    """Prints what is appended to `{name}.log` in `folder`, and supervisor's own warnings.

    A context manager: when it exits, all lines have been printed. Files may be rotated, replaced,
    truncated or removed meanwhile.
    """

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._followed = [_Follower(folder / f"{file}.log") for file in [*names, "supervisord"]]
        self._labels = [_label(name, number) for number, name in enumerate([*names, "supervisor"])]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="log-view")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _follow(self) -> None:
        is_last, pause = False, _PAUSE
        while not is_last:
            is_last = self._stopping.wait(pause)
            pause = min(pause * 1.2, _LONGEST_PAUSE)
            for label, follower in zip(self._labels, self._followed, strict=True):
                lines = [f"{label} | {line}" for line in follower.new_lines() if _is_shown(line)]
                if lines:
                    print_safely("\n".join(lines))
                    pause = _PAUSE
        for follower in self._followed:
            follower.close()


class _Follower:
    """Reads what other processes append to a file, which they also rotate and truncate."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        with contextlib.suppress(OSError):
            self._file = path.open("rb")
            self._file.seek(0, os.SEEK_END)

    def new_lines(self) -> list[str]:
        """The complete lines since the last call."""
        text = self._rest + self._read()
        if self._is_replaced():  # the end of the old file has been read above
            self.close()
            text += self._read()
        *complete, self._rest = text.split(b"\n")
        return [line.decode("utf-8", "replace") for line in complete]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> bytes:
        """What was appended since the last call, or the whole file if it was truncated."""
        with contextlib.suppress(OSError):
            self._file = self._file or self._path.open("rb")
            if os.fstat(self._file.fileno()).st_size < self._file.tell():
                self._rest = b""
                self._file.seek(0)
            return self._file.read()
        return b""

    def _is_replaced(self) -> bool:
        """Whether lines are written to another file at this path now.

        An empty one may have been created after the file that is written to was moved.
        """
        with contextlib.suppress(OSError):
            now = self._path.stat()
            if self._file is not None and now.st_size > 0:
                return not os.path.samestat(now, os.fstat(self._file.fileno()))
        return False


def print_safely(text: str) -> None:
    """Print, also where the terminal is gone: the portal still has to be stopped."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _is_shown(line: str) -> bool:
    """Whether to print a line. supervisor's normal events are in its log only."""
    return _QUIET.match(line) is None


def _label(name: str, number: int) -> str:
    label = f"{name:<15}"
    return (
        f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{label}\x1b[0m" if sys.stdout.isatty() else label
    )
