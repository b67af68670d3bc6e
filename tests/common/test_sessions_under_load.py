"""Sessions under many threads and processes: login, save, rotate, logout and revoke_all at once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from common.pyportal_common.cache_handlers import RedisClient, SessionStore
from common.pyportal_common.redis_server import RedisServer

MIX = Path(__file__).with_name("session_mix.py")


def mix(server: RedisServer, *, processes: int, threads: int, users: int) -> list[dict[str, Any]]:
    arguments = [str(number) for number in (server.port, threads, 30, users)]
    running = [
        subprocess.Popen([sys.executable, str(MIX), *arguments], stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    return [json.loads(process.communicate(timeout=120)[0]) for process in running]


def check(client: RedisClient, reports: list[dict[str, Any]], users: int) -> None:
    assert [fault for report in reports for fault in report["faults"]] == []
    began = {session_id for report in reports for session_id in report["sessions"]}
    ended = {session_id for report in reports for session_id in report["ended"]}
    alive = {key.removeprefix("session:") for key in client.scan("session:*")}
    indexed = {
        member
        for user in range(users)
        for member in client.execute("ZRANGE", f"user:sessions:{user}", 0, -1)
    }
    assert len(began) > 30
    assert alive <= began
    assert alive & ended == set()
    assert indexed == alive  # nothing leaks from the index, and nothing is missing there

    store = SessionStore(client)
    for user in range(users):
        epoch = int(client.execute("GET", f"user:auth_epoch:{user}") or 0)
        store.revoke_all(user, auth_epoch=epoch + 1)
    assert list(client.scan("session:*")) == []


def test_200_threads_on_few_users(redis_server: RedisServer, redis_client: RedisClient) -> None:
    reports = mix(redis_server, processes=1, threads=200, users=3)

    check(redis_client, reports, users=3)


def test_two_processes_of_four_threads(
    redis_server: RedisServer, redis_client: RedisClient
) -> None:
    reports = mix(redis_server, processes=2, threads=4, users=2)

    check(redis_client, reports, users=2)
