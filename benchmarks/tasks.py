"""Tasks: how many a second, how soon they are completed, and how fast they are read."""

from contextlib import ExitStack

from . import task_rates, task_reads, task_times
from .scale import Scale
from .servers import temporary_redis
from .taskprocessing import databases, taskprocessing


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
            task_reads.compare(server, name, url, scale)
