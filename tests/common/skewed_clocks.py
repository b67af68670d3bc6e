"""Processes whose clocks are wrong, as on other hosts."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres

SOURCE = Path(__file__).with_name("skew.c")


class Skew:
    """A library that makes the clock of a process wrong, in a folder that all may read."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or missing("cc")
        self._folder = folder
        self._library = folder / "skew.so"
        command = [
            compiler,
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            str(self._library),
            str(SOURCE),
            "-ldl",
        ]
        subprocess.run(command, check=True)

    def by(self, seconds: int) -> dict[str, str]:
        """The variables of a process whose clock is this much ahead."""
        return {"LD_PRELOAD": str(self._library), "SKEW_SECONDS": str(seconds)}

    @contextmanager
    def redis(self, binary: Path, seconds: int) -> Iterator[RedisServer]:
        """A Redis server whose clock is this much ahead."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        variables = " ".join(f"{name}='{value}'" for name, value in self.by(seconds).items())
        script = folder / "redis-server"
        script.write_text(f'#!/bin/sh\n{variables} exec "{binary}" "$@"\n')
        script.chmod(0o755)
        server = RedisServer(script, folder / "data")
        server.start()
        try:
            yield server
        finally:
            server.kill()

    @contextmanager
    def postgres(self, seconds: int) -> Iterator[str]:
        """The URL of a PostgreSQL server whose clock is this much ahead."""
        binaries = postgres_binaries() or missing("PostgreSQL")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.by(seconds).items():
                patch.setenv(name, value)
            running = running_postgres(binaries)
            url = running.__enter__()
        try:
            yield url
        finally:
            running.__exit__(None, None, None)


@contextmanager
def skew() -> Iterator[Skew]:
    """The library, in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="pyportal-skew-"))
    folder.chmod(0o755)
    try:
        yield Skew(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
