"""Counts round trips to Redis, as the server sees them."""

from collections.abc import Callable

from common.pyportal_common.cache_handlers import RedisClient


def round_trips(client: RedisClient, action: Callable[[], object]) -> int:
    """How many times the server reads from its clients during the action, which runs twice.

    The fewer of both, because the end of another test's connection counts as well.
    """
    return min(_reads_during(client, action) for _ in range(2))


def _reads_during(client: RedisClient, action: Callable[[], object]) -> int:
    before = _reads(client)
    action()
    return _reads(client) - before - 1  # without the second INFO


def _reads(client: RedisClient) -> int:
    return int(client.execute("INFO", "stats")["total_reads_processed"])
