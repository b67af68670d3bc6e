"""The logs of several processes in one terminal, each line with the name of its process."""

import contextlib
import os
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_COLOURS = (36, 32, 33, 35, 34)  # ANSI


class LogView:
    """Prints what is appended to `{name}.log` in `folder`, and supervisor's own news.

    A context manager; at its end the last lines have been printed.
    """

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._followed = [_Follower(folder / f"{file}.log") for file in [*names, "supervisord"]]
        self._labels = [_label(name, number) for number, name in enumerate([*names, "supervisor"])]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._print, name="log-view")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _print(self) -> None:
        last_round = False
        while not last_round:
            last_round = self._ending.wait(0.1)
            for label, follower in zip(self._labels, self._followed, strict=True):
                lines = [f"{label} | {line}" for line in follower.new_lines()]
                if lines:
                    say("\n".join(lines))
        for follower in self._followed:
            follower.close()


class _Follower:
    """What is appended to a file that another process writes and rotates."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        if path.exists():
            self._file = path.open("rb")
            self._file.seek(0, os.SEEK_END)

    def new_lines(self) -> list[str]:
        """Whole lines only; the rest waits for its end."""
        text = self._rest + self._read()
        if self._is_another():  # the file that we read was renamed: what came last is read above
            self.close()
            text += self._read()
        *whole, self._rest = text.split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]

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

    def _is_another(self) -> bool:
        try:
            return self._file is not None and not os.path.samestat(
                self._path.stat(), os.fstat(self._file.fileno())
            )
        except FileNotFoundError:
            return False


def say(text: str) -> None:
    """Print, to a terminal that may be gone: the portal still has to be stopped then."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _label(name: str, number: int) -> str:
    label = f"{name:<15}"
    return (
        f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{label}\x1b[0m" if sys.stdout.isatty() else label
    )
