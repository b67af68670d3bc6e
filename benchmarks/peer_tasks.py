"""Dramatiq's no-ops a second, in the environment of the peers, on a Redis server of their own."""

import os
import subprocess
import time

import redis

from .servers import PEERS, ROOT, running, temporary_redis, wait_until

_PROGRAM = "benchmarks.contenders.no_op"
_PENDING = "dramatiq:default.msgs"  # the messages that are not acknowledged
_POLL_SECONDS = 0.01


def no_ops_a_second(count: int) -> float:
    """The rate of one worker with eight threads that finds so many messages, each a no-op.

    Without the first tenth, in which connections are opened.
    """
    python = PEERS / "bin" / "python"
    with temporary_redis() as (server, _), redis.Redis(port=server.port) as client:
        variables = {"BROKER_URL": server.url}
        command = [str(python), "-m", _PROGRAM, "fill", str(count)]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=True)

        def left() -> int:
            return int(client.hlen(_PENDING))

        began, first = time.perf_counter(), count

        def is_done() -> bool:
            nonlocal began, first
            if (now := left()) > count * 9 // 10:
                began, first = time.perf_counter(), now
            return now == 0

        with running([_PROGRAM, "work"], variables, python=python):
            wait_until(is_done, "Dramatiq has messages left.", poll_seconds=_POLL_SECONDS)
            return first / (time.perf_counter() - began)
