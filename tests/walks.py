"""Follows a page as a reader does: creates its files, and runs its commands, in one folder."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from common.pyportal_common.testing.documents import Block, blocks_of

from .portal_api import wait_until

BACKGROUND = "In another terminal"
"""The title of commands that run until the reader stops them."""

PRINTED = "It prints"
"""The title of lines that the commands before have printed."""


@dataclass
class Walk:
    """A reader with a folder and an environment.

    `ports` are what the commands in other terminals listen on, in order; `replaced` has texts of
    the page, such as ports, and what the reader writes in place of them.
    """

    folder: Path
    environment: dict[str, str]
    ports: list[int] = field(default_factory=list)
    replaced: dict[str, str] = field(default_factory=dict)
    output: str = ""
    _background: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def follow(self, page: Path) -> None:
        """Do everything that the page says. CalledProcessError with the output if it fails."""
        for block in blocks_of(page):
            if not block.not_run:
                self.do(block)

    def do(self, block: Block) -> None:
        """Do what one block says."""
        code = block.code
        for text, other in self.replaced.items():
            code = code.replace(text, other)
        if block.title == PRINTED:
            missing = [line for line in code.splitlines() if line not in self.output]
            assert not missing, self.output
        elif block.language not in {"bash", "sh"}:
            self._write(block.title or "", code)
        elif block.title == BACKGROUND:
            self._start(code)
        else:
            self._run(code)

    def _write(self, name: str, code: str) -> None:
        """Add to a file. Indented code continues the class that the file ends with."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f"\n{code}" if file.stat().st_size else code)

    def _run(self, commands: str) -> None:
        done = subprocess.run(
            ["bash", "-ec", commands],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        self.output += done.stdout
        assert done.returncode == 0, f"{commands}\n{done.stdout}"

    def _start(self, command: str) -> None:
        log = self.folder / f"terminal{len(self._background)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-ec", command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        port = self.ports[len(self._background)]
        self._background.append(process)
        wait_until(lambda: process.poll() is not None or listens(port), seconds=20)
        assert process.poll() is None, log.read_text("utf-8")

    def stop(self) -> None:
        """End the commands in other terminals."""
        for process in reversed(self._background):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)


def listens(port: int) -> bool:
    """Whether something does on 127.0.0.1. OSError if not."""
    socket.create_connection(("127.0.0.1", port), timeout=1).close()
    return True


@contextmanager
def walking(walk: Walk) -> Iterator[Walk]:
    """End the commands in other terminals at the end."""
    try:
        yield walk
    finally:
        walk.stop()
