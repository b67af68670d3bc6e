"""Fixtures: processes whose Redis is a master that sentinels name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.pyportal_common.testing.sentinel import SentinelSetup

from ..caching_process import Process
from ..items import create_tables
from ..load import Connect

StartProcess = Callable[[], Process]


@pytest.fixture
def start_process(
    sentinel_setup: SentinelSetup, connect: Connect, tmp_path: Path
) -> Iterator[StartProcess]:
    """Starts processes with one SQL database, which has one item."""
    started: list[Process] = []

    def start() -> Process:
        url = f"sqlite:///{tmp_path / 'items.sqlite3'}"
        started.append(Process(connect(sentinel_setup), url))
        if len(started) == 1:
            create_tables(started[0].database)
        return started[-1]

    yield start
    for process in started:
        process.database.close()
