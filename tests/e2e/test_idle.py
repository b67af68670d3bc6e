"""A portal that nobody uses leaves Redis alone."""

import time
from collections import Counter

import pytest
import redis

from .conftest import Portal

SECONDS = 15.0  # all that is repeated happens once at least
A_SECOND = 5  # commands: docs/operations.md


def commands_of_clients(port: int, seconds: float) -> Counter[str]:
    """The commands that clients send in so many seconds, without those of scripts."""
    counted: Counter[str] = Counter()
    until = time.monotonic() + seconds
    with redis.Redis(port=port) as client, client.monitor() as monitor:
        while (left := until - time.monotonic()) > 0:
            if monitor.connection.can_read(left):
                command = monitor.next_command()
                if command["client_type"] != "lua":
                    counted[command["command"].split()[0]] += 1
    return counted


@pytest.mark.slow
def test_an_idle_portal_sends_few_commands_to_redis(own_portal: Portal) -> None:
    for _ in range(3):  # processes that have just started also inspect the server
        commands = commands_of_clients(own_portal.redis_port, SECONDS)
        if commands.total() < A_SECOND * SECONDS:
            break

    assert commands["BZPOPMIN"] > 0  # of the workers: others would have been counted, too
    assert commands.total() < A_SECOND * SECONDS, commands
