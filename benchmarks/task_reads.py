"""Reading tasks from a small and from a large table."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack

from common.pyportal_common.redis_server import RedisServer

from .figures import print_row
from .scale import Scale
from .servers import TASKPROCESSING
from .taskprocessing import create_database, taskprocessing


def compare(server: RedisServer, name: str, url: str, scale: Scale) -> None:
    """Print a table for one kind of database: medians, and their ratio."""
    sizes = scale.stored_tasks
    with ExitStack() as stack:
        urls: list[str] = []
        for db, size in zip((8, 10), sizes, strict=True):
            database = create_database(url, f"tasks_{size}")
            service = stack.enter_context(taskprocessing(name, database, server, db=db))
            service.rows.add_ended(size)
            urls += [database, f"{server.url}/{db}"]
        rounds = str(scale.read_rounds)
        measured = subprocess.run(
            [sys.executable, "-m", "benchmarks.contenders.task_reads", rounds, *urls],
            cwd=TASKPROCESSING,
            env={**os.environ, **service.variables},
            stdout=subprocess.PIPE,
            check=True,
        )
    print()
    print_row(f"{name}, µs among", *(f"{size:,}" for size in sizes), "ratio")
    for kind, (few, many) in json.loads(measured.stdout).items():
        print_row(kind, f"{few:.0f}", f"{many:.0f}", f"{many / few:.2f}")
