"""Tasks: how many a second, how soon, and how fast they are read among a million."""

from contextlib import ExitStack

from . import task_rates, task_reads, task_times
from .servers import own_redis
from .taskprocessing import databases, portal


def run() -> None:
    """Print the tables."""
    with own_redis() as (server, folder), databases(folder) as urls:
        with ExitStack() as stack:
            portals = [
                stack.enter_context(portal(name, url, server, db=db))
                for db, (name, url) in zip((1, 4), urls.items(), strict=False)
            ]
            task_rates.compare(server, portals)
            task_times.compare(server, portals)
        for name, url in urls.items():
            task_reads.compare(server, name, url)
