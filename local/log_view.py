"""The logs of several processes in one terminal, each line with the name of its process."""

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import BinaryIO, Self

_COLOURS = (36, 32, 33, 35, 34)  # ANSI


class LogView:
    """Prints what is appended to `{name}.log` in `folder`, and to supervisor's own log.

    A context manager: when it exits, all lines have been printed.
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
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(0.1)
            for label, follower in zip(self._labels, self._followed, strict=True):
                lines = [f"{label} | {line}" for line in follower.new_lines()]
                if lines:
                    print_safely("\n".join(lines))
        for follower in self._followed:
            follower.close()


class _Follower:
    """Reads what another process appends to a file, which it also rotates."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        if path.exists():
            self._file = path.open("rb")
            self._file.seek(0, os.SEEK_END)

    def new_lines(self) -> list[str]:
        """The complete lines since the last call."""
        text = self._rest + self._read()
        if self._is_rotated():  # the end of the old file has been read above
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
        try:
            self._file = self._file or self._path.open("rb")
        except FileNotFoundError:
            return b""
        return self._file.read()

    def _is_rotated(self) -> bool:
        try:
            return self._file is not None and not os.path.samestat(
                self._path.stat(), os.fstat(self._file.fileno())
            )
        except FileNotFoundError:
            return False


def print_safely(text: str) -> None:
    """Print, also where the terminal is gone: the portal still has to be stopped."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _label(name: str, number: int) -> str:
    label = f"{name:<15}"
    return (
        f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{label}\x1b[0m" if sys.stdout.isatty() else label
    )
