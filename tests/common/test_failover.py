"""A replica takes the place of the master behind one address."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import redis

from common.pyportal_common.cache_handlers import (
    Cache,
    Policy,
    RedisClient,
    RedisUnavailable,
    RestartDetector,
)
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.relay import SwitchedRelay

from .caching_process import Process, T
from .items import change, create_tables
from .load import Connect
from .waiting import wait_until

WITHIN = 2.0  # seconds


class Pair:
    """A master and its replica, behind a relay that leads to the master."""

    def __init__(self, start: Callable[..., RedisServer]) -> None:
        at_once = {"repl-diskless-sync-delay": "0"}
        self.old, self.new = start(**at_once), start(**at_once)
        self.relay = SwitchedRelay(self.old.port)
        with closing(redis.Redis(port=self.new.port)) as new:
            new.replicaof("127.0.0.1", str(self.old.port))
            wait_until(lambda: new.info("replication")["master_link_status"] == "up", seconds=20)

    def promote(self) -> None:
        with closing(redis.Redis(port=self.new.port)) as new:
            new.replicaof("NO", "ONE")

    def demote(self) -> None:
        with closing(redis.Redis(port=self.old.port)) as old:
            old.replicaof("127.0.0.1", str(self.new.port))

    def let_through(self) -> None:
        self.relay.switch_to(self.new.port)
        self.relay.state = "open"

    def value_in_new(self, key: str) -> object:
        with closing(redis.Redis(port=self.new.port, decode_responses=True)) as new:
            return new.get(key)


@pytest.fixture
def pair(start_redis: Callable[..., RedisServer]) -> Iterator[Pair]:
    """A master and its replica."""
    pair = Pair(start_redis)
    yield pair
    pair.relay.close()


@pytest.fixture
def client(pair: Pair, connect: Connect) -> RedisClient:
    """A client of the relay, with connections to the old master."""
    client = connect(pair.relay)
    use_from_threads(client, lambda: client.set("k", "old", ttl=60))
    return client


def use_from_threads(client: RedisClient, call: Callable[[], object]) -> None:
    """Call at the same time on several connections."""
    barrier = threading.Barrier(8)

    def use() -> None:
        barrier.wait()
        with suppress(RedisUnavailable), client.pipeline() as pipeline:
            pipeline.watch("k")  # holds its connection
            barrier.wait()
        with suppress(RedisUnavailable):
            call()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def demoted_and_left_connected(pair: Pair) -> None:
    pair.promote()
    pair.demote()
    time.sleep(1)  # the address still leads to the old master


def demoted_and_cut(pair: Pair) -> None:
    pair.relay.state = "refused"
    pair.promote()
    pair.demote()
    time.sleep(1)


def killed(pair: Pair) -> None:
    pair.old.kill()
    pair.promote()
    time.sleep(1)


def hung(pair: Pair) -> None:
    pair.old.pause()
    pair.promote()
    time.sleep(1)


@pytest.mark.parametrize("fail", [demoted_and_left_connected, demoted_and_cut, killed, hung])
def test_the_new_master_is_used_within_two_seconds(
    fail: Callable[[Pair], None], pair: Pair, client: RedisClient
) -> None:
    with in_use(client):
        fail(pair)
        with pytest.raises(RedisUnavailable):
            client.set("k", "new", ttl=60)

        pair.let_through()
        began = time.monotonic()
        wait_until(lambda: accepts(client), seconds=10)
        took = time.monotonic() - began

    print(f"{fail.__name__}: recovered {took:.2f} s after the new master was reachable")
    assert took < WITHIN
    assert pair.value_in_new("k") == "new"


@contextmanager
def in_use(client: RedisClient) -> Iterator[None]:
    """Another thread uses the client meanwhile."""
    stop = threading.Event()

    def use() -> None:
        while not stop.wait(0.01):
            with suppress(RedisUnavailable):
                client.get("k")
                client.set("other", "value", ttl=60)

    worker = threading.Thread(target=use)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def accepts(client: RedisClient) -> bool:
    try:
        return client.set("k", "new", ttl=60)
    except RedisUnavailable:
        return False


def test_no_connection_stays_with_the_old_master(pair: Pair, client: RedisClient) -> None:
    """Not even one that no command was refused on."""
    demoted_and_left_connected(pair)
    with pytest.raises(RedisUnavailable):
        client.set("k", "new", ttl=60)
    pair.let_through()
    wait_until(lambda: accepts(client), seconds=10)

    failures: list[object] = []

    def write() -> None:
        try:
            client.set("k", "new", ttl=60)
        except RedisUnavailable as error:
            failures.append(error)

    use_from_threads(client, write)

    assert not failures


def test_a_cache_that_only_reads_follows_after_a_refused_fill(
    pair: Pair, client: RedisClient
) -> None:
    cache = Cache(client)
    demoted_and_left_connected(pair)
    pair.let_through()

    def load_another() -> bool:
        cache.get_or_load(f"k{time.monotonic_ns()}", lambda: 1, Policy(ttl=60))
        return cache.put("k", 2, ttl=60)

    wait_until(load_another, seconds=WITHIN + 1)

    assert pair.value_in_new("k") == "2"


def test_a_master_that_takes_its_place_again_without_later_writes_repeats_invalidations(
    pair: Pair, connect: Connect, tmp_path: Path
) -> None:
    """It finds its own run id. Only its replication has another id than before."""
    processes = [
        Process(connect(pair.relay), f"sqlite:///{tmp_path / 'items.sqlite3'}") for _ in range(2)
    ]
    create_tables(processes[0].database)
    assert [process.read() for process in processes] == [0, 0]
    assert processes[0].client.get("item:1") == "0"

    with closing(redis.Redis(port=pair.old.port)) as old:
        pair.promote()
        old.replicaof("127.0.0.1", str(free_port()))  # it is demoted, and receives nothing
        pair.relay.switch_to(pair.new.port)
        wait_until(lambda: accepts(processes[0].client), seconds=30)
        change(processes[0].database, value=1)
        pair.new.kill()
        old.replicaof("NO", "ONE")
        assert old.get("item:1") == b"0"
        pair.relay.switch_to(pair.old.port)
    wait_until(lambda: accepts(processes[0].client), seconds=30)

    assert [process.read() for process in processes] == [1, 1]
    for process in processes:
        process.database.close()


def as_it_is(_: redis.Redis) -> None:
    pass


def without_marker(new: redis.Redis) -> None:
    """As a replica that was far behind."""
    new.delete("cache:marker")


def with_full_memory(new: redis.Redis) -> None:
    """It takes no marker, either."""
    new.delete("cache:marker")
    new.config_set("maxmemory", 1)


@pytest.mark.parametrize("prepare", [as_it_is, without_marker, with_full_memory])
def test_a_writer_waits_until_nobody_trusts_the_old_master(
    prepare: Callable[[redis.Redis], None], pair: Pair, connect: Connect, tmp_path: Path
) -> None:
    writer = Process(connect(pair.relay), f"sqlite:///{tmp_path / 'items.sqlite3'}")
    create_tables(writer.database)
    assert writer.read() == 0
    killed(pair)
    with closing(redis.Redis(port=pair.new.port)) as new:
        prepare(new)

    began = time.monotonic()
    pair.let_through()
    wait_until(writer.client.ping, seconds=10)
    change(writer.database, value=1)

    assert time.monotonic() - began >= T
    writer.database.close()


def test_the_wait_is_announced_when_the_records_can_be_repeated(
    pair: Pair, connect: Connect
) -> None:
    """The first connection to a server without a marker could not repeat them."""
    client = connect(pair.relay)
    keys = {"key": "cache:marker", "changed_key": "cache:changed"}
    detector = RestartDetector(client, settle_seconds=60, **keys)
    detector.check(client.execute, lambda _: True)
    killed(pair)
    with closing(redis.Redis(port=pair.new.port)) as new:
        new.delete("cache:marker")
        pair.let_through()
        wait_until(client.ping, seconds=10)

        detector.check(client.execute, lambda _: False)
        assert new.exists("cache:marker", "cache:changed") == 0
        detector.check(client.execute, lambda _: True)

        assert new.exists("cache:marker", "cache:changed") == 2
