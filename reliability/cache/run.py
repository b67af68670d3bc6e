"""Readers and writers of users, while Redis and they themselves fail."""

import time
from functools import partial

from common.pyportal_common.db import Database
from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.relay import Relay

from ..faults import Faults, Injection
from ..journal import now
from ..processes import Fork, Processes
from ..servers import empty_database, running_redis
from ..settings import ROOT, RunSettings
from .history import History, load
from .settings import USERS, CacheSettings
from .subject import create_users
from .workers import SHORT_FENCE, Worker, note_commits, watch_sql

_PAUSES = (0.3, 1.0, 2.0, 4.0)  # seconds between faults: everything recovers in the longer ones
_MAX_RECOVERY = 4.0  # seconds without faults at the end
_JOIN = 15.0  # seconds for all processes to end
_LAST = 120.0  # seconds for the one that reads everything, beside whatever else runs
_WRITERS = ("writer", "slow", "mixed")


def run(settings: RunSettings) -> History:
    """Run it, and return what happened."""
    with (
        empty_database(settings.folder, settings.database) as url,
        running_redis(settings.folder) as redis,
    ):
        migrate(url, ROOT / "usermanagement-service" / "migrations")
        create_users(url)
        until = time.monotonic() + settings.seconds
        cache_settings = CacheSettings(settings, url, redis.port, until)
        _run_processes(cache_settings, redis)
        database = Database(url)
        note_commits(database, settings.journal("final"), {}, last_id=USERS)
        database.close()
    return load(settings.folder)


def _run_processes(settings: CacheSettings, redis: RedisServer) -> None:
    """Start everything, inject faults, wait for the end, and read everything once more."""
    journal = settings.run.journal("main")
    processes = Processes(may_finish=True)
    faults = Faults(redis, processes, journal, settings.run.random_for("faults"), pauses=_PAUSES)
    journal.note("began", now())
    settings.run.arm()
    _start(settings, processes)
    recovery = min(_MAX_RECOVERY, (settings.until - time.monotonic()) / 3)
    until = settings.until - recovery
    faults.inject(_injections(faults), lambda: time.monotonic() < until)
    settings.run.disarm()
    processes.sleep(settings.until - time.monotonic())
    failed = processes.join(_JOIN)
    processes.start("last", partial(Fork, lambda name: Worker(settings, name).read_everything()))
    for name in [*failed, *processes.join(_LAST)]:
        journal.note("error", now(), f"{name} did not end well")
    journal.note("ended", now())


def _start(settings: CacheSettings, processes: Processes) -> None:
    run, until = settings.run, settings.until
    relay = Relay(settings.redis_port)

    def relay_all(name: str) -> None:
        relay.run(run.random_for(name), until, run.journal(name).fault)

    def mixed(name: str) -> None:
        Worker(settings, name, redis_port=relay.port).run(readers=2, writers=1)

    targets = {
        "relay": relay_all,
        "watcher": lambda name: watch_sql(settings, name),
        **{f"reader{n}": lambda name: Worker(settings, name).run(readers=4) for n in range(4)},
        **{f"writer{n}": lambda name: Worker(settings, name).run(writers=2) for n in range(4)},
        "slow": lambda name: Worker(settings, name, fence_seconds=SHORT_FENCE).write_slowly(),
        "mixed": mixed,
    }
    for role, target in targets.items():
        processes.start(role, partial(Fork, target))


def _injections(faults: Faults) -> list[Injection]:
    return [
        Injection("redis-killed:loses-writes", faults.lose_redis_writes, 3),
        Injection("redis-hangs", faults.hang_redis, 2),
        Injection("redis-killed", faults.restart_redis),
        Injection("redis-killed:stays-down", faults.stop_redis),
        Injection(
            "process-hangs",
            partial(faults.pause, "reader", *_WRITERS, shortest=0.2, longest=3.0),
            2,
        ),
        Injection("writer-killed", partial(faults.kill, *_WRITERS), 2),
        Injection("reader-killed", partial(faults.kill, "reader")),
    ]
