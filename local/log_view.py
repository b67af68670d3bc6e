"""The logs of several processes in one terminal, each line with the name of its process."""

import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

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
                for line in follower.new_lines():
                    print(f"{label} | {line}")
            sys.stdout.flush()


class _Follower:
    """What is appended to a file that another process writes and rotates."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0
        self._inode = path.stat().st_ino if path.exists() else None

    def new_lines(self) -> list[str]:
        """Whole lines only; the rest waits for its end."""
        try:
            with self._path.open("rb") as file:
                status = self._path.stat()
                if status.st_ino != self._inode or status.st_size < self._position:
                    self._position, self._inode = 0, status.st_ino
                file.seek(self._position)
                text = file.read()
        except FileNotFoundError:
            return []
        whole, newline, _ = text.rpartition(b"\n")
        self._position += len(whole) + len(newline)
        return whole.decode("utf-8", "replace").splitlines() if newline else []


def _label(name: str, number: int) -> str:
    label = f"{name:<15}"
    return (
        f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{label}\x1b[0m" if sys.stdout.isatty() else label
    )
