"""Whether tasks, bookings and flights are read more slowly from a million than a thousand.

And whether tasks are, and are claimed more slowly, among ten million on PostgreSQL.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from ..scale import Scale
from ..servers import TASKPROCESSING, temporary_redis
from ..tables import Report, Table
from ..taskprocessing import create_database, databases, taskprocessing


def run(scale: Scale) -> Report:
    """Measure every kind of read, on each kind of database."""
    with temporary_redis() as (_, folder), databases(folder) as urls:
        tables = [_compare(name, url, scale.stored_tasks, scale) for name, url in urls.items()]
        if scale.most_stored_tasks is not None and "PostgreSQL" in urls:
            sizes = (scale.stored_tasks[0], scale.most_stored_tasks)
            tables.append(_compare("PostgreSQL", urls["PostgreSQL"], sizes, scale, tasks_only=True))
        return Report(tables)


def _compare(
    name: str, url: str, sizes: Sequence[int], scale: Scale, *, tasks_only: bool = False
) -> Table:
    with ExitStack() as stack:
        urls: list[str] = []
        for size in sizes:
            database = create_database(url, f"tasks_{size}_{tasks_only:d}")
            service = stack.enter_context(taskprocessing(name, database))
            service.rows.add_ended(size)
            if not tasks_only:
                service.rows.add_booked(size)
            urls += [database, service.server.url]
        measured = subprocess.run(
            [
                sys.executable,
                "-m",
                "benchmarks.contenders.task_reads",
                "tasks" if tasks_only else "all",
                str(scale.read_rounds),
                *urls,
            ],
            cwd=TASKPROCESSING,
            env={**os.environ, **service.variables},
            stdout=subprocess.PIPE,
            check=True,
        )
    table = Table((f"{name}, µs among", *(f"{size:,}" for size in sizes), "ratio"))
    for kind, (few, many) in json.loads(measured.stdout).items():
        table.add(kind, f"{few:.0f}", f"{many:.0f}", f"{many / few:.2f}")
    return table
