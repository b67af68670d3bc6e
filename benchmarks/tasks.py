"""Tasks: how many a second, how soon they are completed, and how fast they are read."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack

from common.pyportal_common.redis_server import RedisServer

from . import task_rates, task_times
from .figures import print_row
from .scale import Scale
from .servers import TASKPROCESSING, temporary_redis
from .taskprocessing import create_database, databases, taskprocessing


def run(scale: Scale) -> None:
    """Print the tables."""
    with temporary_redis() as (server, folder), databases(folder) as urls:
        with ExitStack() as stack:
            services = [
                stack.enter_context(taskprocessing(name, url, server, db=db))
                for db, (name, url) in zip((1, 4), urls.items(), strict=False)
            ]
            task_rates.compare(server, services, scale)
            task_times.compare(server, services, scale)
        for name, url in urls.items():
            _compare_reads(server, name, url, scale)


def _compare_reads(server: RedisServer, name: str, url: str, scale: Scale) -> None:
    """Print the times of reads from a small and from a large table, for one kind of database."""
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
