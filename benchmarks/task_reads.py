"""Reading tasks among a thousand, and among a million."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack

from common.pyportal_common.redis_server import RedisServer

from .taskprocessing import SERVICE, another, portal

_SIZES = (1_000, 1_000_000)


def compare(server: RedisServer, name: str, url: str) -> None:
    """Print a table for one database server: medians, and their ratio."""
    with ExitStack() as stack:
        words: list[str] = []
        for db, size in zip((8, 10), _SIZES, strict=True):
            there = another(url, f"tasks_{size}")
            one = stack.enter_context(portal(name, there, server, db=db))
            one.rows.add_ended(size)
            words += [there, f"{server.url}/{db}"]
        answer = subprocess.run(
            [sys.executable, "-m", "benchmarks.contenders.task_reads", *words],
            cwd=SERVICE,
            env={**os.environ, **one.variables},
            stdout=subprocess.PIPE,
            check=True,
        )
    print(f"\n{f'{name}, µs among':<42} {'1,000':>9} {'1,000,000':>9} {'ratio':>7}")
    for kind, (few, many) in json.loads(answer.stdout).items():
        print(f"{kind:<42} {few:>9.0f} {many:>9.0f} {many / few:>7.2f}")
