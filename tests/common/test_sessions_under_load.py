"""Sessions under many threads and processes: login, save, rotate, logout and revoke_all at once."""

import json

from common.pyportal_common.cache_handlers import RedisClient, SessionStore
from common.pyportal_common.redis_server import RedisServer

from .load import start


def run_load(
    server: RedisServer, client: RedisClient, *, processes: int, threads: int, users: int
) -> None:
    running = [start("session_load", server.port, threads, 30, users) for _ in range(processes)]
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    faults, created, ended = (
        [item for report in reports for item in report[name]]
        for name in ("faults", "sessions", "ended")
    )
    current = {key.removeprefix("session:") for key in client.scan("session:*")}
    indexed = {
        member
        for user in range(users)
        for member in client.execute("ZRANGE", f"user:sessions:{user}", 0, -1)
    }
    assert faults == []
    assert len(created) > 30
    assert current <= set(created)
    assert current & set(ended) == set()
    assert indexed == current  # the index has no entry too many and none too few

    store = SessionStore(client)
    for user in range(users):
        epoch = int(client.execute("GET", f"user:auth_epoch:{user}") or 0)
        store.revoke_all(user, auth_epoch=epoch + 1)
    assert list(client.scan("session:*")) == []


def test_200_threads_on_few_users(redis_server: RedisServer, redis_client: RedisClient) -> None:
    run_load(redis_server, redis_client, processes=1, threads=200, users=3)


def test_two_processes_of_four_threads(
    redis_server: RedisServer, redis_client: RedisClient
) -> None:
    run_load(redis_server, redis_client, processes=2, threads=4, users=2)
