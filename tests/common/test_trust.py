"""No read that starts after a writer's answer returns an older value, also in an outage."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from common.pyportal_common.cache_handlers import (
    Observer,
    PendingKeys,
    RedisClient,
    RedisSettings,
    RedisUnavailable,
    Revocation,
    SessionStore,
    Trust,
)
from common.pyportal_common.db import (
    Base,
    Database,
    IdempotencyKeys,
    delay_if_unfenced,
    revoke_sessions,
)
from common.pyportal_common.db.idempotency import KEYS, KeptResponse, KeyedRequest
from common.pyportal_common.db.waiting import TooManyWaitingWriters
from common.pyportal_common.gunicorn.defaults import THREADS
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.raw_servers import UNUSED_PORT
from common.pyportal_common.testing.relay import SwitchedRelay

from .caching_process import HOUR, Process, T
from .items import Item, change, create_tables, drop_tables, value_of
from .load import Connect
from .waiting import shortest, wait_until

Open = Callable[..., Process]


@pytest.fixture
def start(sql_url: str, connect: Connect) -> Iterator[Open]:
    started: list[Process] = []

    def start_one(server: Any, **options: Any) -> Process:
        started.append(Process(connect(server), sql_url, **options))
        return started[-1]

    yield start_one
    for process in started:
        process.database.close()


@pytest.fixture
def reader(start: Open, own_redis: RedisServer) -> Iterator[Process]:
    process = start(own_redis)
    create_tables(process.database)
    yield process
    drop_tables(process.database)


@pytest.fixture
def relay(own_redis: RedisServer) -> Iterator[SwitchedRelay]:
    relay = SwitchedRelay(own_redis.port)
    yield relay
    relay.close()


@pytest.fixture
def cut_off(start: Open, tmp_path: Path, reader: Process) -> Process:  # noqa: ARG001  creates the tables
    """A process that cannot reach Redis."""
    return start(RedisServer(tmp_path, tmp_path, port=free_port()))


@pytest.fixture
def cut(relay: SwitchedRelay, start: Open, reader: Process) -> Process:  # noqa: ARG001  creates the tables
    """A process whose connection to Redis is held: what it sends arrives late."""
    process = start(relay)
    assert process.client.ping()
    relay.state = "held"
    return process


def answered_late(write: Callable[[], Any]) -> Any:
    """The result of a write that has to wait for the length of trust."""
    started = time.monotonic()
    result = write()
    assert time.monotonic() - started >= T
    return result


class TestWriterThatCannotReachRedis:
    def test_nobody_reads_the_old_value_after_its_answer(
        self, reader: Process, cut_off: Process
    ) -> None:
        for value in (1, 2):
            reader.read()
            answered_late(partial(change, cut_off.database, value=value))

            assert reader.read() == value
            assert reader.client.get("item:1") == str(value)  # cached again

    def test_nobody_reads_the_old_value_while_others_read_all_the_time(
        self, start: Open, own_redis: RedisServer, reader: Process, cut: Process
    ) -> None:
        readers = [reader, start(own_redis), start(own_redis)]
        answered = 0
        stale: list[tuple[int, int]] = []
        stop = threading.Event()

        def read(process: Process) -> None:
            while not stop.is_set():
                least = answered
                value = process.read()
                if value < least:
                    stale.append((value, least))

        with ThreadPoolExecutor() as threads:
            for process in readers:
                threads.submit(read, process)
            for value in (1, 2, 3):
                change(cut.database, value=value)
                answered = value
                time.sleep(0.3)
            stop.set()

        assert stale == []

    def test_a_fill_that_began_before_the_commit_is_refused(
        self, reader: Process, cut_off: Process
    ) -> None:
        def load() -> int:
            old = value_of(reader.database)
            change(cut_off.database, value=1)
            assert reader.cache.get("item:2") is None  # renews trust
            return old

        reader.cache.get_or_load("item:1", load, HOUR)

        assert reader.read() == 1

    def test_a_hung_server(self, own_redis: RedisServer, reader: Process, start: Open) -> None:
        writer = start(own_redis)
        writer.client.ping()
        reader.read()
        own_redis.pause()

        answered_late(lambda: change(writer.database, value=1))
        own_redis.resume()

        wait_until(reader.client.ping)
        assert reader.read() == 1

    def test_a_server_that_refuses_writes(
        self, own_redis: RedisServer, reader: Process, start: Open
    ) -> None:
        writer = start(own_redis)
        reader.read()
        reader.client.execute("REPLICAOF", "127.0.0.1", UNUSED_PORT)

        answered_late(lambda: change(writer.database, value=1))

        assert reader.client.get("item:1") == "0"
        assert reader.read() == 1
        reader.client.execute("REPLICAOF", "NO", "ONE")
        assert reader.read() == 1

    def test_full_memory_does_not_delay_writers(
        self, own_redis: RedisServer, reader: Process, start: Open
    ) -> None:
        writer = start(own_redis)
        reader.read()
        reader.client.execute("CONFIG", "SET", "maxmemory", "1mb")
        time.sleep(T)

        assert reader.read() == 0
        assert reader.client.get("item:1") == "0"  # still used
        change(writer.database, value=1)
        assert reader.read() == 1

    def test_its_transaction_does_not_begin_if_too_many_wait(
        self, start: Open, tmp_path: Path, reader: Process
    ) -> None:
        dead = RedisServer(tmp_path, tmp_path, port=free_port())
        writer = start(dead, waiting_writers=1)
        assert not writer.client.ping()

        with ThreadPoolExecutor() as threads:
            first = threads.submit(change, writer.database, value=1)
            wait_until(lambda: value_of(reader.database) == 1)
            with pytest.raises(TooManyWaitingWriters), writer.database.begin():
                raise AssertionError("the transaction began")
            first.result()

        change(writer.database, value=3)  # the place is free again

    def test_one_that_finds_the_outage_itself_is_rolled_back_if_too_many_wait(
        self, start: Open, tmp_path: Path, reader: Process
    ) -> None:
        dead = RedisServer(tmp_path, tmp_path, port=free_port())
        writer = start(dead, waiting_writers=0)

        with pytest.raises(TooManyWaitingWriters):
            change(writer.database, value=1)

        assert value_of(reader.database) == 0

    def test_a_transaction_that_changes_no_cached_row_is_not_affected(
        self, start: Open, tmp_path: Path, reader: Process
    ) -> None:
        dead = RedisServer(tmp_path, tmp_path, port=free_port())
        writer = start(dead, waiting_writers=0)
        assert not writer.client.ping()

        with writer.database.begin(changes_cached=False) as tx:
            update = sa.update(Item).values(value=7)
            tx.execute(update, execution_options={"cache_keys": []})

        assert value_of(reader.database) == 7

    @pytest.mark.usefixtures("reader")
    def test_workers_do_not_wait_and_notify_later(self, start: Open, tmp_path: Path) -> None:
        nothing = RedisServer(tmp_path, tmp_path, port=free_port())
        worker = start(nothing, trust_seconds=30.0)
        worker.database.writers_wait = False
        delays: list[float] = []

        started = time.monotonic()
        with worker.database.begin() as tx:
            tx.get_one(Item, 1).value = 1
            delay_if_unfenced(tx, delays.append)

        assert time.monotonic() - started < 30
        assert delays == [30]

    def test_nothing_is_delayed_while_redis_answers(self, reader: Process) -> None:
        delays: list[float] = []

        with reader.database.begin() as tx:
            tx.get_one(Item, 1).value = 1
            delay_if_unfenced(tx, delays.append)

        assert delays == []


class TestRevocation:
    @staticmethod
    def revoke(process: Process) -> None:
        with process.database.begin() as tx:
            revoke_sessions(tx, Revocation.of(7, 1))

    def test_it_succeeds_when_another_process_has_done_it(
        self, start: Open, own_redis: RedisServer, reader: Process, cut_off: Process
    ) -> None:
        sessions = SessionStore(reader.client)
        session = sessions.create(7, {})
        slow = Process(cut_off.client, str(reader.database.engine.url), trust_seconds=10)
        start(own_redis).read()  # starts a sweeper

        self.revoke(slow)

        assert sessions.load(session.session_id) is None
        slow.database.close()

    def test_it_fails_when_nobody_has_done_it(
        self, reader: Process, own_redis: RedisServer
    ) -> None:
        own_redis.kill()

        with pytest.raises(RedisUnavailable):
            answered_late(lambda: self.revoke(reader))


class TestTrust:
    @pytest.fixture
    def now(self) -> list[float]:
        """The clock, in seconds."""
        return [1000.0]

    def trust(
        self,
        client: RedisClient,
        now: list[float],
        read: Callable[[], Sequence[PendingKeys] | None] = list,
    ) -> Trust:
        self.removed: list[int] = []
        self.requests = 0

        def renew_soon() -> None:
            self.requests += 1

        return Trust(
            client,
            seconds=2,
            read_pending=read,
            on_removed=self.removed.extend,
            renew_soon=renew_soon,
            clock=lambda: now[0],
        )

    def test_it_lasts_from_the_start_of_the_renewal(
        self, own_client: RedisClient, now: list[float]
    ) -> None:
        def read_slowly() -> list[PendingKeys]:
            now[0] += 1.5
            return []

        trust = self.trust(own_client, now, read_slowly)
        assert trust.renew()

        now[0] += 0.6
        own_client.execute("REPLICAOF", "127.0.0.1", UNUSED_PORT)
        assert not trust.allows("item:1")

    def test_its_loss_is_reported_once(self, own_client: RedisClient, now: list[float]) -> None:
        losses: list[float] = []
        own_client.observe(observer := Observer())
        observer.trust_lost = lambda: losses.append(now[0])  # type: ignore[method-assign]
        trust = self.trust(own_client, now)
        for _ in range(2):
            own_client.execute("REPLICAOF", "127.0.0.1", UNUSED_PORT)
            for _ in range(3):
                now[0] += 3
                assert not trust.allows("item:1")
            own_client.execute("REPLICAOF", "NO", "ONE")
            now[0] += 3
            assert trust.allows("item:1")

        assert losses == [1015.0]  # in the first outage there was no trust to lose

    def test_a_slow_renewal_gives_none(self, own_client: RedisClient, now: list[float]) -> None:
        def read_for_too_long() -> list[PendingKeys]:
            now[0] += 2
            return []

        assert not self.trust(own_client, now, read_for_too_long).renew()

    def test_a_renewal_removes_values_and_leases(
        self, own_client: RedisClient, now: list[float]
    ) -> None:
        names = [f"item:{number}" for number in range(450)]
        for name in names:
            own_client.set(name, "old")
            own_client.set(f"lease:{{{name}}}", "token")
        pending = [
            PendingKeys(1, tuple(names[:1])),
            PendingKeys(2, tuple(names[1:400])),
            PendingKeys(3, tuple(names[400:])),
        ]

        assert self.trust(own_client, now, lambda: pending).renew()

        assert list(own_client.scan()) == []
        assert self.removed == [1, 2, 3]

    def test_it_is_renewed_ahead_only_by_use(
        self, own_client: RedisClient, now: list[float]
    ) -> None:
        trust = self.trust(own_client, now)
        assert trust.allows("item:1")
        now[0] += 0.9
        assert trust.allows("item:1")
        assert self.requests == 0

        now[0] += 0.2
        assert trust.allows("item:1")

        assert self.requests == 1

    def test_without_sql_a_write_is_enough(self, own_client: RedisClient, now: list[float]) -> None:
        trust = self.trust(own_client, now, lambda: None)

        assert trust.renew()
        own_client.execute("REPLICAOF", "127.0.0.1", UNUSED_PORT)
        assert not trust.renew()

    def test_too_many_records_to_remove_give_none(
        self, own_client: RedisClient, now: list[float]
    ) -> None:
        def read() -> list[PendingKeys]:
            raise LookupError("too many")

        assert not self.trust(own_client, now, read).renew()

    def test_a_failed_renewal_is_not_repeated_by_every_read(
        self, own_client: RedisClient, now: list[float]
    ) -> None:
        reads = 0

        def read() -> list[PendingKeys]:
            nonlocal reads
            reads += 1
            return []

        own_client.execute("REPLICAOF", "127.0.0.1", UNUSED_PORT)
        trust = self.trust(own_client, now, read)

        assert not any(trust.allows("item:1") for _ in range(10))
        assert reads == 1
        now[0] += 1
        assert not trust.allows("item:1")
        assert reads == 2

    def test_keys_that_redis_refuses_to_remove_are_not_read(
        self, own_redis: RedisServer, own_client: RedisClient, now: list[float], connect: Connect
    ) -> None:
        allowed = "~item:* ~lease:{item:* ~cache:* &* +@all"
        own_client.execute("ACL", "SETUSER", "narrow", "on", ">secret", *allowed.split())
        narrow = connect(own_redis, username="narrow", password="secret")
        own_client.set("item:1", "old")
        pending = [PendingKeys(n, (f"item:{n}",)) for n in range(1, 9)]
        pending.insert(4, PendingKeys(99, ("other:1", "item:99")))

        trust = self.trust(narrow, now, lambda: pending)

        assert trust.allows("item:1")
        assert not trust.allows("item:99")
        assert not trust.allows("other:1")
        assert own_client.get("item:1") is None
        assert sorted(self.removed) == list(range(1, 9))


def test_at_most_half_of_the_threads_of_a_service_wait() -> None:
    default = signature(Database).parameters["waiting_writers"].default

    assert default == THREADS // 2


def test_a_database_that_hangs_does_not_stop_cached_reads(
    reader: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reader.read() == 0
    release = threading.Event()
    assert reader.database.invalidations is not None
    monkeypatch.setattr(
        reader.database.invalidations.records, "pending", lambda _: [*filter(release.wait, [20])]
    )
    monkeypatch.setattr("common.pyportal_common.db.pending._HANGS_AFTER_SECONDS", 1.0)
    time.sleep(T)

    wait_until(lambda: reader.cache.get("item:1") == 0)

    release.set()


def test_a_slow_database_gives_no_trust(reader: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes may commit meanwhile."""
    assert reader.read() == 0
    assert reader.database.invalidations is not None
    release = threading.Event()
    monkeypatch.setattr(
        reader.database.invalidations.records, "pending", lambda _: [*filter(release.wait, [T])]
    )
    time.sleep(T)

    assert reader.cache.get("item:1") is None
    assert reader.client.get("item:1") == "0"


class TestFailover:
    """The server at an address is replaced. A process that still reads the last one trusts it."""

    @pytest.fixture
    def replaced(
        self, own_redis: RedisServer, start_redis: Callable[..., RedisServer], reader: Process
    ) -> RedisServer:
        """The new server, with the data of the last one, which has become its replica."""
        reader.read()
        reader.client.execute("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        new = start_redis(replicaof=f"127.0.0.1 {own_redis.port}")
        client = RedisClient.connect(RedisSettings.load(url=new.url, _env_file=None), db=0)
        wait_until(lambda: client.get("item:1") == "0")
        reader.client.execute("REPLICAOF", "127.0.0.1", UNUSED_PORT)
        client.execute("REPLICAOF", "NO", "ONE")
        client.close()
        return new

    def test_nobody_reads_the_old_value_after_an_answer_of_the_new_server(
        self, replaced: RedisServer, reader: Process, start: Open
    ) -> None:
        writer = start(replaced)
        assert writer.client.ping()

        change(writer.database, value=1)

        assert reader.client.get("item:1") == "0"  # on the demoted server
        assert reader.read() == 1

    def test_writers_are_delayed_only_at_first(self, replaced: RedisServer, start: Open) -> None:
        writer = start(replaced)
        change(writer.database, value=1)

        started = time.monotonic()
        for value in range(2, 12):
            change(writer.database, value=value)
        assert time.monotonic() - started < 5 * T  # of ten times T if each were

    @pytest.mark.usefixtures("reader")
    def test_an_empty_server_delays_nobody(
        self, start: Open, start_redis: Callable[..., RedisServer]
    ) -> None:
        writer = start(start_redis(), trust_seconds=30.0)

        started = time.monotonic()
        change(writer.database, value=1)
        assert time.monotonic() - started < 30


def test_a_database_that_is_down_does_not_stop_cached_reads(
    reader: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reader.read() == 0

    def query(_: int) -> list[Any]:
        raise OperationalError("SELECT", {}, Exception("down"))

    assert reader.database.invalidations is not None
    monkeypatch.setattr(reader.database.invalidations.records, "pending", query)
    time.sleep(T)

    assert reader.cache.get_or_load("item:1", pytest.fail, HOUR) == 0


class TestReplayedAnswer:
    """A repeated request is answered in place of a writer that may have died before it could."""

    @pytest.fixture
    def request_of(self, reader: Process) -> Iterator[Callable[..., object]]:
        """Commits a response with an idempotency key, and finds it `seconds` later."""
        Base.metadata.create_all(reader.database.engine, [KEYS])
        request = KeyedRequest("items", "digest", "fingerprint")
        response = KeptResponse(201, "application/json", None, "{}", None)

        def find(process: Process, *, seconds: float) -> object:
            later = datetime.now(UTC) + timedelta(seconds=seconds)
            keys = IdempotencyKeys(process.database, clock=lambda: later)
            return keys.find(request)

        IdempotencyKeys(reader.database).keep(request, response)
        yield find
        Base.metadata.drop_all(reader.database.engine, [KEYS])

    @pytest.fixture
    def killed(self, reader: Process, cut_off: Process) -> Process:
        """The process of a writer that has not invalidated what it had committed."""
        assert reader.database.invalidations is not None
        reader.database.invalidations.close()  # and no process does it
        cut_off.database.writers_wait = False
        change(cut_off.database, value=1)
        return cut_off

    def test_it_waits_until_nobody_reads_older_values(
        self, killed: Process, request_of: Callable[..., object]
    ) -> None:
        assert answered_late(lambda: request_of(killed, seconds=0))

    def test_it_does_not_wait_for_long_after_the_first(
        self, killed: Process, request_of: Callable[..., object]
    ) -> None:
        assert request_of(killed, seconds=60)
        assert shortest(lambda: request_of(killed, seconds=60)) < T

    def test_nor_when_everything_is_invalidated(
        self, reader: Process, request_of: Callable[..., object]
    ) -> None:
        change(reader.database, value=1)

        assert request_of(reader, seconds=0)
        assert shortest(lambda: request_of(reader, seconds=0)) < T
