"""Every kind of client goes on with the new master. `-s` prints how long that took."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
import redis

from common.pyportal_common.cache_handlers import (
    Charge,
    Limiter,
    RateLimit,
    RedisClient,
    RedisLayerError,
    SessionStore,
)
from common.pyportal_common.cache_handlers.client import sentinel_queries
from common.pyportal_common.jobs.hints import Hints
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.plugin import settings_for
from common.pyportal_common.testing.sentinel import SentinelSetup

from ..load import Connect
from ..waiting import wait_until

LONG = 120.0  # seconds: a busy machine may elect a master late

pytestmark = pytest.mark.slow


def killed(setup: SentinelSetup) -> None:
    setup.primary.kill()


def frozen(setup: SentinelSetup) -> None:
    setup.primary.pause()


def replaced(setup: SentinelSetup) -> None:
    setup.fail_over()


def frozen_and_thawed(setup: SentinelSetup) -> None:
    """The thawed server believes for a while that it is the master."""
    old = setup.primary
    old.pause()
    setup.wait_for_primary(other_than=old)
    old.resume()


FAILOVERS = [killed, frozen, replaced, frozen_and_thawed]


def accepts(call: Callable[[], object]) -> bool:
    with suppress(RedisLayerError):
        call()
        return True
    return False


@contextmanager
def in_use(client: RedisClient) -> Iterator[None]:
    """Four threads use a client meanwhile."""
    stop = threading.Event()

    def use() -> None:
        while not stop.wait(0.01):
            accepts(lambda: client.set("other", "value", ttl=60))

    workers = [threading.Thread(target=use) for _ in range(4)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def ports_of(client: RedisClient) -> set[int]:
    """Where eight connections lead that are used at a time."""
    held = [client._pool.get_connection() for _ in range(8)]
    for connection in held:
        client._pool.release(connection)
    return {connection.port for connection in held}


def value_in(setup: SentinelSetup, server: RedisServer, key: str) -> object:
    with closing(setup.admin(server)) as admin:
        return admin.get(key)


@pytest.mark.parametrize("fail", FAILOVERS)
class TestClient:
    def test_writes_to_the_new_master(
        self, fail: Callable[[SentinelSetup], None], sentinel_setup: SentinelSetup, connect: Connect
    ) -> None:
        client = connect(sentinel_setup)
        client.set("k", "old")
        old = sentinel_setup.primary
        with in_use(client):
            began = time.monotonic()
            fail(sentinel_setup)
            new = sentinel_setup.wait_for_primary(other_than=old)
            replaced_after = time.monotonic() - began
            wait_until(lambda: accepts(lambda: client.set("k", "new")), seconds=LONG)
            took = time.monotonic() - began

        print(f"{fail.__name__}: replaced after {replaced_after:.1f} s, used after {took:.1f} s")
        assert value_in(sentinel_setup, new, "k") == "new"

    def test_keeps_no_connection_to_the_old_one(
        self, fail: Callable[[SentinelSetup], None], sentinel_setup: SentinelSetup, connect: Connect
    ) -> None:
        client = connect(sentinel_setup)
        old = sentinel_setup.primary
        assert ports_of(client) == {old.port}

        fail(sentinel_setup)
        new = sentinel_setup.wait_for_primary(other_than=old)
        wait_until(lambda: accepts(lambda: client.get("k")), seconds=LONG)

        wait_until(lambda: ports_of(client) == {new.port}, seconds=LONG)

    def test_wakes_a_worker_that_waits_for_a_hint(
        self, fail: Callable[[SentinelSetup], None], sentinel_setup: SentinelSetup
    ) -> None:
        hints = Hints.at(settings_for(sentinel_setup), 1)
        woken: list[float] = []
        hints.on("tasks", lambda: woken.append(time.monotonic()))
        hints.listen()
        hints.send("tasks")
        wait_until(lambda: woken, seconds=LONG)
        old = sentinel_setup.primary
        fail(sentinel_setup)
        sentinel_setup.wait_for_primary(other_than=old)
        woken.clear()

        def wakes() -> bool:
            hints.send("tasks")
            return bool(woken)

        wait_until(wakes, seconds=LONG)
        hints.close()


def test_a_pinned_connection_to_the_old_master_does_not_commit(
    sentinel_setup: SentinelSetup, connect: Connect
) -> None:
    """A transaction that began before the failover fails, and one that begins again works."""
    client = connect(sentinel_setup)
    old = sentinel_setup.primary
    with client.pipeline() as pipeline:
        pipeline.watch("k")
        old.kill()
        sentinel_setup.wait_for_primary(other_than=old)
        pipeline.multi()
        pipeline.set("k", "from the old one")
        with pytest.raises((RedisLayerError, redis.WatchError)):
            pipeline.execute()

    def commit() -> None:
        with client.pipeline() as pipeline:
            pipeline.watch("k")
            pipeline.multi()
            pipeline.set("k", "new")
            pipeline.execute()

    wait_until(lambda: accepts(commit), seconds=LONG)
    assert value_in(sentinel_setup, sentinel_setup.primary, "k") == "new"


@pytest.mark.parametrize("fail", FAILOVERS)
def test_sessions_and_limits_go_on(
    fail: Callable[[SentinelSetup], None], sentinel_setup: SentinelSetup, connect: Connect
) -> None:
    """What the replica has received is there, so it is written a while before."""
    client = connect(sentinel_setup)
    sessions, limiter = SessionStore(client), Limiter(client, service="test")
    session = sessions.create(7, {"username": "john"})
    five = RateLimit("five", 5, 3600, on_error="closed")
    for _ in range(3):
        limiter.hit(Charge(five, "user:7"))
    sentinel_setup.wait_until_replicated()
    old = sentinel_setup.primary

    fail(sentinel_setup)
    new = sentinel_setup.wait_for_primary(other_than=old)
    wait_until(lambda: accepts(lambda: client.set("k", "v")), seconds=LONG)
    wait_until(lambda: ports_of(client) == {new.port}, seconds=LONG)  # the old one takes writes

    loaded = sessions.load(session.session_id)
    assert loaded is not None
    assert loaded.user_data == {"username": "john"}
    decisions = [limiter.hit(Charge(five, "user:7")).allowed for _ in range(3)]
    assert decisions == [True, True, False]


def test_the_old_master_is_not_used_after_it_was_replaced(
    sentinel_setup: SentinelSetup, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle client has connections to a server that thaws and believes it is the master."""
    monkeypatch.setattr(sentinel_queries, "ASK_SECONDS", LONG)  # the sentinels do answer
    idle = connect(sentinel_setup, connect_timeout=30, read_timeout=30)
    other = connect(sentinel_setup)
    idle.set("k", "before")
    old = sentinel_setup.primary
    old.pause()
    new = sentinel_setup.wait_for_primary(other_than=old)
    wait_until(lambda: accepts(lambda: other.set("k", "new")), seconds=LONG)
    old.resume()

    assert idle.get("k") == "new"
    wait_until(lambda: accepts(lambda: idle.set("k", "newer")), seconds=LONG)

    assert value_in(sentinel_setup, new, "k") == "newer"


def test_clients_go_on_without_any_sentinel(
    sentinel_setup: SentinelSetup, connect: Connect
) -> None:
    client, late = connect(sentinel_setup), connect(sentinel_setup)
    client.set("k", "v")
    for sentinel in sentinel_setup.sentinels:
        sentinel.kill()
    client.reconnect()
    time.sleep(1.1)  # the answer of the sentinels is old

    assert client.get("k") == "v"
    with pytest.raises(RedisLayerError, match="no sentinel answered"):
        late.get("k")


def test_the_old_master_comes_back_as_a_replica(
    sentinel_setup: SentinelSetup, connect: Connect
) -> None:
    client = connect(sentinel_setup)
    client.set("k", "old")
    old = sentinel_setup.primary
    old.kill()
    sentinel_setup.wait_for_primary(other_than=old)
    wait_until(lambda: accepts(lambda: client.set("k", "new")), seconds=LONG)

    old.start()
    sentinel_setup.wait_until_whole()

    assert value_in(sentinel_setup, old, "k") == "new"
    assert old in sentinel_setup.replicas
