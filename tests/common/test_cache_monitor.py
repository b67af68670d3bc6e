"""The consistency monitor finds stale values, raises no false alarm, and changes nothing."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import redis
from sqlalchemy import insert, select, update
from sqlalchemy.exc import OperationalError

from common.pyportal_common.cache_handlers import (
    AuditOutcome,
    Cache,
    Observer,
    Policy,
    RedisClient,
    RedisUnavailable,
    keys,
)
from common.pyportal_common.db import Database
from common.pyportal_common.db.consistency import CacheKind, CacheMonitor, CacheVerifier, StaleValue
from common.pyportal_common.db.invalidations import Invalidations
from common.pyportal_common.db.records import RECORDS
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.monitoring import monitored

from .items import Item, change, create_tables, drop_tables
from .load import Connect
from .waiting import wait_until

HOUR = Policy(ttl=3600)
TRUST = 30.0  # seconds
ITEM = "item:1"
STALE = '{"id":1,"value":99}'
FAR_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)  # the sweeper leaves records alone until then


@dataclass
class Findings(Observer):
    """What the monitor reports."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    def audit(self, kind: str, outcome: AuditOutcome) -> None:
        self.outcomes[kind, outcome] += 1

    def staleness(self, kind: str, seconds: float) -> None:
        self.seconds[kind] = seconds


@dataclass
class Clock:
    """A clock that the test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def client(own_client: RedisClient) -> RedisClient:
    return own_client


@pytest.fixture
def cache(client: RedisClient) -> Cache:
    return Cache(client)


@pytest.fixture
def database(sql_url: str, cache: Cache) -> Iterator[Database]:
    database = Database(sql_url, cache=cache, trust_seconds=TRUST)
    create_tables(database)
    wait_until(lambda: not invalidations_of(database).records.still_pending())
    yield database
    drop_tables(database)
    database.close()


@pytest.fixture
def findings(client: RedisClient) -> Findings:
    findings = Findings()
    client.observe(findings)
    return findings


@pytest.fixture
def clock() -> Clock:
    return Clock()


def load_item(database: Database, item_id: int) -> dict[str, Any] | None:
    with database.read() as tx:
        item = tx.get(Item, item_id)
    return None if item is None else {"id": item.id, "value": item.value}


def load_id(database: Database, name: str) -> int | None:
    with database.read() as tx:
        return tx.scalar(select(Item.id).where(Item.name == name))


def change_item(database: Database) -> None:
    """Change the item, and wait until its record is done."""
    change(database, value=5)
    wait_until(lambda: not invalidations_of(database).records.still_pending())


def kinds_of(database: Database) -> list[CacheKind]:
    return [
        CacheKind(lambda item_id: f"item:{item_id}", lambda one: load_item(database, one), HOUR),
        CacheKind(
            lambda name: f"name:{name}", lambda name: load_id(database, name), HOUR, identifier=str
        ),
    ]


def invalidations_of(database: Database) -> Invalidations:
    assert database.invalidations is not None
    return database.invalidations


@pytest.fixture
def monitor(cache: Cache, database: Database, clock: Clock, findings: Findings) -> CacheMonitor:  # noqa: ARG001
    return CacheMonitor(
        cache,
        invalidations_of(database),
        kinds_of(database),
        every_seconds=0.001,
        clock=clock,
    )


Read = Callable[[], Any]


@pytest.fixture
def read(cache: Cache, database: Database) -> Read:
    """A request that reads the item."""
    return lambda: cache.get_or_load(ITEM, lambda: load_item(database, 1), HOUR)


def plant(redis_server: RedisServer, text: str = STALE, key: str = ITEM) -> None:
    """Write a value behind the layer's back, as redis-cli would."""
    with closing(redis.Redis.from_url(redis_server.url)) as connection:
        connection.execute_command("SET", key, text, "PX", 3_600_000)


Sample = Callable[..., None]


@pytest.fixture
def sample(monitor: CacheMonitor, clock: Clock, client: RedisClient) -> Sample:
    """Takes samples, with some time before each: sample(times=2, seconds=31)."""

    def sample(times: int = 1, *, seconds: float = 1.0) -> None:
        for _ in range(times):
            clock.now += seconds
            client.delete(keys.CACHE_AUDIT)  # Redis has a clock of its own
            monitor.sample()

    return sample


class TestStaleValues:
    def test_one_planted_behind_the_layers_back_is_found_after_the_length_of_trust(
        self,
        own_redis: RedisServer,
        database: Database,
        read: Read,
        sample: Sample,
        findings: Findings,
    ) -> None:
        change_item(database)
        read()
        plant(own_redis)

        sample()
        sample(seconds=TRUST - 2)
        early = dict(findings.outcomes)
        sample(seconds=2)

        assert early == {}
        assert findings.outcomes["item", "stale"] == 1
        assert findings.seconds == {"item": TRUST}

    def test_the_search_takes_a_sample_for_each_value_that_has_changed_lately(
        self,
        own_redis: RedisServer,
        cache: Cache,
        database: Database,
        read: Read,
        sample: Sample,
        findings: Findings,
    ) -> None:
        read()
        with database.begin() as tx:
            tx.add_all([Item(id=number, name=f"n{number}", value=0) for number in range(2, 42)])
        wait_until(lambda: not invalidations_of(database).records.still_pending())
        for number in range(2, 12):  # the others are not cached
            cache.get_or_load(f"item:{number}", partial(load_item, database, number), HOUR)
        sample(20)  # each was compared before
        findings.outcomes.clear()
        plant(own_redis, key="item:7")

        sample(16, seconds=0.1)  # 11 values, of 12 samples: every fourth is of the walk
        sample(seconds=TRUST)

        assert findings.outcomes["item", "stale"] == 1

    def test_one_that_nobody_has_changed_is_found_by_the_walk(
        self, own_redis: RedisServer, read: Read, sample: Sample, findings: Findings
    ) -> None:
        read()
        sample(4, seconds=61)  # no record is recent any more
        plant(own_redis)

        sample(4)
        sample(seconds=TRUST)

        assert findings.outcomes["item", "stale"] == 1

    def test_it_is_counted_once_followed_and_reported_when_it_is_gone(
        self,
        own_redis: RedisServer,
        client: RedisClient,
        read: Read,
        sample: Sample,
        findings: Findings,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        read()
        plant(own_redis)
        sample(5, seconds=TRUST)
        followed = findings.seconds["item"]

        client.delete(ITEM)
        sample(seconds=TRUST)

        assert findings.outcomes["item", "stale"] == 1
        assert followed == 4 * TRUST
        assert findings.seconds["item"] == 0
        assert caplog.messages[-1] == (
            f"The stale value in Redis of item, key {keys.digest_of(ITEM)}, is gone"
        )

    def test_the_log_has_what_this_process_did_and_neither_key_nor_value(
        self,
        own_redis: RedisServer,
        database: Database,
        read: Read,
        sample: Sample,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        change_item(database)
        read()
        plant(own_redis)

        sample()
        sample(seconds=TRUST)

        (message,) = [each for each in caplog.messages if "holds a stale value" in each]
        events = re.findall(r"Z ([a-z ]+)", message)
        assert events[-4:] == ["fence", "lift", "lease mine", "fill"]
        assert f"stale value of item, key {keys.digest_of(ITEM)}:" in message
        assert ITEM not in message
        assert "99" not in message.partition("What this process")[0]

    def test_a_row_that_was_changed_past_the_layer_is_found(
        self, database: Database, read: Read, sample: Sample, findings: Findings
    ) -> None:
        read()
        with database.engine.begin() as connection:
            connection.execute(update(Item).values(value=7))

        sample()
        sample(seconds=TRUST)

        assert findings.outcomes["item", "stale"] == 1

    def test_a_lookup_of_a_row_that_does_not_exist_is_found(
        self, own_redis: RedisServer, read: Read, sample: Sample, findings: Findings
    ) -> None:
        read()
        plant(own_redis, "7", "name:nobody")

        sample(100)  # each fourth is any of two values
        sample(seconds=TRUST)

        assert findings.outcomes["name", "stale"] == 1


class TestNoFalseAlarm:
    def test_values_that_agree_are_counted_as_the_same(
        self, read: Read, sample: Sample, findings: Findings
    ) -> None:
        read()

        sample(3)

        assert findings.outcomes == {("item", "same"): 3}

    def test_a_difference_that_goes_away_is_none(
        self,
        own_redis: RedisServer,
        client: RedisClient,
        read: Read,
        sample: Sample,
        findings: Findings,
    ) -> None:
        read()
        plant(own_redis)
        sample()
        client.delete(ITEM)
        read()

        sample(seconds=TRUST)

        assert findings.outcomes == {("item", "changing"): 1, ("item", "same"): 1}

    def test_another_difference_is_none_either(
        self, own_redis: RedisServer, read: Read, sample: Sample, findings: Findings
    ) -> None:
        read()
        plant(own_redis)
        sample()
        plant(own_redis, '{"id":1,"value":98}')

        sample(seconds=TRUST)

        assert findings.outcomes["item", "stale"] == 0
        assert findings.outcomes["item", "changing"] == 1

    @pytest.mark.parametrize("names", [f'["{ITEM}"]', '["other:1"]', "of another release"])
    def test_a_pending_record_excuses_a_difference_if_it_may_name_the_key(
        self,
        names: str,
        own_redis: RedisServer,
        database: Database,
        read: Read,
        sample: Sample,
        findings: Findings,
    ) -> None:
        read()
        plant(own_redis)
        add_record(database, names, is_done=False)

        sample()
        sample(seconds=TRUST)

        assert findings.outcomes["item", "stale"] == (names == '["other:1"]')

    @pytest.mark.parametrize("name", [ITEM, "other:1"])
    def test_a_newer_record_excuses_a_difference_if_it_names_the_key(
        self,
        name: str,
        own_redis: RedisServer,
        database: Database,
        read: Read,
        sample: Sample,
        findings: Findings,
    ) -> None:
        read()
        plant(own_redis)
        sample()
        add_record(database, f'["{name}"]', is_done=True)

        sample(seconds=TRUST)

        assert findings.outcomes["item", "stale"] == (name == "other:1")

    def test_a_value_that_changes_during_the_comparison_is_no_difference(
        self,
        own_redis: RedisServer,
        cache: Cache,
        read: Read,
        sample: Sample,
        findings: Findings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        read()
        plant(own_redis)

        def load_during_a_change(*_: object) -> dict[str, Any]:
            cache.invalidate(ITEM)
            return {"id": 1, "value": 5}

        monkeypatch.setattr(f"{__name__}.load_item", load_during_a_change)

        sample()

        assert findings.outcomes == {("item", "changing"): 1}

    def test_a_fence_excuses_a_difference(
        self,
        own_redis: RedisServer,
        cache: Cache,
        read: Read,
        sample: Sample,
        findings: Findings,
    ) -> None:
        read()
        plant(own_redis)
        sample()
        cache.fence([ITEM])
        plant(own_redis)

        sample(seconds=TRUST)

        assert findings.outcomes["item", "stale"] == 0

    def test_values_that_no_reader_uses_are_not_compared(
        self,
        own_redis: RedisServer,
        client: RedisClient,
        read: Read,
        sample: Sample,
        findings: Findings,
    ) -> None:
        read()
        for key in ("item:01", "item:x", "item:sha256=00", "other:1"):
            plant(own_redis, key=key)
        plant(own_redis, "no JSON")
        client.hset("name:one", "a", "hash")

        sample(12)
        sample(12, seconds=TRUST)

        assert {outcome for _, outcome in findings.outcomes} == {"missing"}


class TestWhenItRuns:
    def test_a_process_that_does_not_use_the_cache_sends_nothing(
        self, monitor: CacheMonitor, own_redis: RedisServer, findings: Findings
    ) -> None:
        with monitored(own_redis) as commands:
            monitor.sample()

        assert commands.lines == []
        assert findings.outcomes == {}

    def test_all_processes_together_take_one_sample_at_a_time(
        self,
        own_redis: RedisServer,
        connect: Connect,
        sql_url: str,
        database: Database,  # noqa: ARG002  has the tables
    ) -> None:
        samples = []
        for _ in range(3):
            client = connect(own_redis)
            found = Findings()
            client.observe(found)
            cache = Cache(client)
            other = Database(sql_url, cache=cache, trust_seconds=30)
            cache.get_or_load(ITEM, partial(load_item, other, 1), HOUR)
            CacheMonitor(
                cache, invalidations_of(other), kinds_of(other), every_seconds=3600
            ).sample()
            samples.append(found.outcomes.total())
            other.close()

        assert samples == [1, 0, 0]

    @pytest.mark.parametrize("odd", [("SET", "1"), ("HSET", "field", "1")])
    def test_an_odd_value_at_the_key_of_turns_gives_way(
        self,
        odd: tuple[str, ...],
        client: RedisClient,
        monitor: CacheMonitor,
        read: Read,
        findings: Findings,
    ) -> None:
        read()
        client.execute(odd[0], keys.CACHE_AUDIT, *odd[1:])

        monitor.sample()

        assert findings.outcomes.total() == 1

    def test_while_redis_is_down_there_is_no_sample_and_afterwards_there_is(
        self,
        own_redis: RedisServer,
        client: RedisClient,
        read: Read,
        sample: Sample,
        findings: Findings,
    ) -> None:
        read()
        own_redis.kill()
        with pytest.raises(RedisUnavailable):
            sample()
        before = findings.outcomes.total()

        own_redis.start()
        wait_until(lambda: not client.breaker.is_open)
        read()
        sample()

        assert before == 0
        assert findings.outcomes["item", "same"] == 1

    def test_a_difference_is_looked_at_again_without_further_requests(
        self,
        own_redis: RedisServer,
        database: Database,
        read: Read,
        sample: Sample,
        findings: Findings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        read()
        plant(own_redis)
        sample()
        monkeypatch.setattr(type(invalidations_of(database).trust), "is_held", False)

        sample(seconds=TRUST)

        assert findings.outcomes == {("item", "stale"): 1}

    def test_an_outage_during_the_second_look_postpones_it(
        self,
        own_redis: RedisServer,
        read: Read,
        sample: Sample,
        findings: Findings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        read()
        plant(own_redis)
        sample()
        with monkeypatch.context() as patch:
            patch.setattr(f"{__name__}.load_item", fail)
            with pytest.raises(OperationalError):
                sample(seconds=TRUST)

        sample(seconds=TRUST)

        assert findings.outcomes["item", "stale"] == 1

    def test_a_load_that_raises_an_error_of_its_own_does_not_stop_the_samples(
        self,
        own_redis: RedisServer,
        read: Read,
        sample: Sample,
        findings: Findings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        read()
        plant(own_redis)
        sample()
        with monkeypatch.context() as patch:
            patch.setattr(f"{__name__}.load_item", lambda *_: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                sample(seconds=TRUST)
        failed = findings.outcomes.copy()

        sample(2, seconds=TRUST)

        assert failed == {("item", "failed"): 1}
        assert findings.outcomes["item", "stale"] == 1

    def test_a_load_that_fails_is_counted(
        self, read: Read, sample: Sample, findings: Findings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read()
        monkeypatch.setattr(f"{__name__}.load_item", fail)

        with pytest.raises(OperationalError):
            sample()

        assert findings.outcomes == {("item", "failed"): 1}

    def test_it_changes_no_key_but_that_of_turns(
        self,
        own_redis: RedisServer,
        client: RedisClient,
        database: Database,
        read: Read,
        sample: Sample,
    ) -> None:
        change_item(database)
        read()
        plant(own_redis)
        plant(own_redis, "7", "name:nobody")
        before = {key: client.get(key) for key in client.scan()}

        with monitored(own_redis) as commands:
            sample(6)
            sample(6, seconds=TRUST)

        client.delete(keys.CACHE_AUDIT)
        assert {key: client.get(key) for key in client.scan()} == before
        sent = {line.split('"')[1] for line in commands.of_clients}
        assert sent <= {"GET", "EXISTS", "SCAN", "EVALSHA", "EVAL", "UNLINK"}
        written = [line for line in commands.lines if " lua] " in line and '"GET"' not in line]
        assert all(f'"{keys.CACHE_AUDIT}"' in line for line in written)

    def test_the_thread_finds_one_by_itself_and_stops(
        self,
        own_redis: RedisServer,
        connect: Connect,
        sql_url: str,
        database: Database,  # noqa: ARG002  has the tables
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        client = connect(own_redis)
        cache = Cache(client)
        other = Database(sql_url, cache=cache, trust_seconds=0.2)
        monitor = CacheMonitor(cache, invalidations_of(other), kinds_of(other), every_seconds=0.05)
        monitor.start()
        load = partial(load_item, other, 1)
        cache.get_or_load(ITEM, load, HOUR)
        plant(own_redis)

        def is_found() -> bool:
            cache.get_or_load(ITEM, load, HOUR)
            return any("holds a stale value" in each for each in caplog.messages)

        wait_until(is_found, seconds=20)
        monitor.close()
        other.close()

        assert not [each for each in threading.enumerate() if each.name == "cache-monitor"]


class TestVerify:
    @pytest.fixture
    def verifier(self, cache: Cache, database: Database) -> CacheVerifier:
        return CacheVerifier(
            cache, invalidations_of(database), kinds_of(database), sleep=lambda _: None
        )

    def test_without_differences_nothing_is_stale(
        self, verifier: CacheVerifier, read: Read
    ) -> None:
        read()

        found = verifier.verify()

        assert (found.outcomes, found.stale, found.is_complete) == (
            {"same": 1, "missing": 0, "changing": 0, "stale": 0},
            [],
            True,
        )

    def test_stale_values_are_named_by_keys_and_digests(
        self, verifier: CacheVerifier, own_redis: RedisServer, read: Read
    ) -> None:
        read()
        plant(own_redis)
        plant(own_redis, "7", "name:nobody")

        found = verifier.verify()

        assert set(found.stale) == {
            StaleValue("item", ITEM, keys.digest_of(ITEM)),
            StaleValue("name", "name:nobody", keys.digest_of("name:nobody")),
        }
        assert verifier.verify(caches=["name"]).outcomes["stale"] == 1

    def test_one_that_changes_during_the_wait_is_not_stale(
        self, cache: Cache, database: Database, own_redis: RedisServer, client: RedisClient
    ) -> None:
        plant(own_redis)
        verifier = CacheVerifier(
            cache,
            invalidations_of(database),
            kinds_of(database),
            sleep=lambda _: client.delete(ITEM),
        )

        found = verifier.verify()

        assert (found.stale, found.outcomes["changing"]) == ([], 1)

    def test_the_limit_makes_it_incomplete(
        self, verifier: CacheVerifier, own_redis: RedisServer
    ) -> None:
        for number in range(1, 251):
            plant(own_redis, "null", f"name:{number}")

        found = verifier.verify(limit=10)

        assert (found.outcomes["same"], found.is_complete) == (10, False)
        assert verifier.verify().outcomes["same"] == 250

    def test_the_budget_ends_a_search_for_values_that_are_rare(
        self, verifier: CacheVerifier, own_redis: RedisServer, client: RedisClient
    ) -> None:
        client.set_many({f"other:{number}": "1" for number in range(250)}, ttl=60)
        plant(own_redis, "null", "name:1")

        found = verifier.verify(caches=["name"], budget=10)

        assert (found.outcomes["same"] <= 1, found.is_complete) == (True, False)
        assert verifier.verify(caches=["name"], limit=1, budget=1000).is_complete

    def test_without_redis_it_raises(self, verifier: CacheVerifier, own_redis: RedisServer) -> None:
        own_redis.kill()

        with pytest.raises(RedisUnavailable):
            verifier.verify()


def fail(*_: object) -> None:
    raise OperationalError("SELECT", None, Exception("made for this test"))


def add_record(database: Database, names: str, *, is_done: bool) -> None:
    """Add a record as if another process had committed."""
    now = datetime.now(UTC)
    values = {"keys": names, "revocations": "[]", "created_at": now, "retry_at": FAR_FUTURE}
    with database.engine.begin() as connection:
        connection.execute(insert(RECORDS).values(done_at=now if is_done else None, **values))
