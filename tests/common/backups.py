"""Older copies of Redis's append-only file."""

import shutil
from contextlib import closing
from pathlib import Path

import redis

from common.pyportal_common.redis_server import RedisServer

from .waiting import wait_until


class Backup:
    """An older copy of a server's append-only file."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        self._server = server
        self._folder = folder

    def save(self) -> None:
        """Copy the file with all writes that were acknowledged."""
        with closing(redis.Redis(port=self._server.port)) as client:
            wait_until(lambda: client.info("persistence")["aof_buffer_length"] == 0, seconds=30)
        shutil.copytree(self._server.directory, self._folder)

    def restore(self) -> None:
        """Restart Redis from the copy, as a crash does that loses the writes since then."""
        self._server.kill()
        shutil.rmtree(self._server.directory)
        shutil.copytree(self._folder, self._server.directory)
        self._server.start()
