"""Commits that leave no old value in the cache."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest
from sqlalchemy import Executable, delete, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, load_only

from common.pyportal_common.cache_handlers import Cache, Policy, RedisClient, RedisPoolExhausted
from common.pyportal_common.db import Database, Transaction, UndeclaredCacheKeys
from common.pyportal_common.redis_server import RedisServer

from .items import Item, change, create_tables, drop_tables, value_of
from .load import Connect, run_threads

HOUR = Policy(ttl=3600)


@pytest.fixture
def cache(redis_client: RedisClient) -> Cache:
    return Cache(redis_client)


@pytest.fixture
def database(sql_url: str, cache: Cache) -> Iterator[Database]:
    database = Database(sql_url, pool_size=16, cache=cache)
    create_tables(database)
    yield database
    drop_tables(database)
    database.close()


class TestCommit:
    def test_a_change_removes_the_value_and_the_lookups_of_both_names(
        self, database: Database, cache: Cache
    ) -> None:
        cache.put_many({"item:1": {}, "name:one": 1, "name:uno": 1, "item:2": {}}, ttl=60)

        change(database, name="uno")

        assert cache.client.get_many(["item:1", "name:one", "name:uno", "item:2"]) == {
            "item:2": "{}"
        }
        assert list(cache.client.scan("fence:*")) == []

    def test_a_new_row_removes_its_cached_absence(self, database: Database, cache: Cache) -> None:
        assert cache.get_or_load("name:two", lambda: None, HOUR) is None

        with database.begin() as tx:
            tx.add(Item(name="two", value=2))

        assert cache.get_or_load("name:two", lambda: 2, HOUR) == 2

    def test_a_deleted_row_is_invalidated(self, database: Database, cache: Cache) -> None:
        cache.put("item:1", {}, ttl=60)

        with database.begin() as tx:
            tx.delete(tx.get_one(Item, 1))

        assert cache.get("item:1") is None

    def test_a_rollback_invalidates_nothing(self, database: Database, cache: Cache) -> None:
        cache.put("item:1", "cached", ttl=60)

        with pytest.raises(ZeroDivisionError), database.begin() as tx:
            tx.get_one(Item, 1).value = 1 // 0
        with pytest.raises(IntegrityError), database.begin() as tx:
            tx.add(Item(id=1, name="one", value=0))

        assert cache.get("item:1") == "cached"

    def test_several_flushes_and_a_savepoint_are_one_commit(
        self, database: Database, cache: Cache
    ) -> None:
        cache.put_many({"name:one": 1, "name:zwei": 1, "name:drei": 1}, ttl=60)

        with database.begin() as tx:
            item = tx.get_one(Item, 1)
            item.name = "zwei"
            tx.flush()
            with tx.begin_nested():
                item.name = "drei"
            assert cache.get("name:one") == 1  # nothing is committed yet

        assert [cache.get(f"name:{name}") for name in ("one", "zwei", "drei")] == [None] * 3

    @pytest.mark.parametrize(
        "statement",
        [
            update(Item).where(Item.id == 1).values(value=7),
            update(Item.__table__).values(value=7),  # type: ignore[arg-type]  # it is a Table
            text("update items set value = 7"),
        ],
        ids=["model", "table", "text"],
    )
    def test_a_statement_must_declare_its_keys(
        self, database: Database, cache: Cache, statement: Executable
    ) -> None:
        cache.put("item:1", {}, ttl=60)

        with pytest.raises(UndeclaredCacheKeys), database.begin() as tx:
            tx.execute(statement)
        with database.begin() as tx:
            tx.execute(statement, execution_options={"cache_keys": ["item:1"]})

        assert cache.get("item:1") is None
        assert value_of(database) == 7

    def test_undeclared_deletes_and_legacy_bulk_methods_are_refused(
        self, database: Database
    ) -> None:
        with pytest.raises(UndeclaredCacheKeys, match="Item"), database.begin() as tx:
            tx.execute(delete(Item))
        with pytest.raises(UndeclaredCacheKeys), database.begin() as tx:
            tx.bulk_update_mappings(Item.__mapper__, [{"id": 1, "value": 7}])

    def test_a_row_that_was_loaded_in_part_is_invalidated_under_all_keys(
        self, database: Database, cache: Cache
    ) -> None:
        cache.put_many({"item:1": {}, "name:one": 1}, ttl=60)

        with database.begin() as tx:
            item = tx.scalars(select(Item).options(load_only(Item.id))).one()
            item.value = 7

        assert [cache.get("item:1"), cache.get("name:one")] == [None, None]

    def test_no_commit_without_a_fence_while_redis_is_available(
        self, sql_url: str, database: Database, redis_server: RedisServer, connect: Connect
    ) -> None:
        client = connect(redis_server, max_connections=1, pool_timeout=0.01)
        other = Database(sql_url, cache=Cache(client))
        with client.pipeline() as pipeline:
            pipeline.watch("k")  # holds the only connection

            with pytest.raises(RedisPoolExhausted):
                change(other, value=9)

        assert value_of(database) == 0
        other.close()

    def test_a_commit_of_unknown_outcome_invalidates(
        self, database: Database, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.put("item:1", {}, ttl=60)

        def commit_and_lose_the_answer(tx: Transaction) -> None:
            tx.connection().commit()
            cache.put("item:1", "filled by a reader meanwhile", ttl=60)
            raise ConnectionError("the answer was lost")

        monkeypatch.setattr(Session, "commit", commit_and_lose_the_answer)
        with pytest.raises(ConnectionError):
            change(database, value=1)

        assert cache.get("item:1") is None

    def test_without_redis_the_commit_is_valid(
        self,
        sql_url: str,
        database: Database,
        own_redis: RedisServer,
        own_client: RedisClient,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        other = Database(sql_url, cache=Cache(own_client))
        own_redis.kill()
        caplog.set_level("DEBUG")

        change(other, value=5)

        assert value_of(database) == 5
        assert "2 values are not removed yet" in caplog.text
        other.close()


class TestOverlap:
    """A reader and a writer of one row overlap a thousand times."""

    TRIALS = 1000

    def stale_after(
        self,
        database: Database,
        client: RedisClient,
        read: Callable[[str, Callable[[], int]], object],
        write: Callable[[str, int], None],
    ) -> int:
        chance = random.Random(1)

        def load() -> int:
            value = value_of(database)
            time.sleep(chance.random() * 0.003)
            return value

        stale = 0
        with ThreadPoolExecutor(2) as pool:
            for n in range(1, self.TRIALS + 1):
                client.delete("item:1")
                reading = pool.submit(read, "item:1", load)
                time.sleep(chance.random() * 0.002)
                writing = pool.submit(write, "item:1", n)
                reading.result(10)
                writing.result(10)
                stale += client.get("item:1") not in {None, str(n)}
        return stale

    def test_no_stale_value_is_left(self, database: Database, cache: Cache) -> None:
        stale = self.stale_after(
            database,
            cache.client,
            lambda key, load: cache.get_or_load(key, load, HOUR),
            lambda _, n: change(database, value=n),
        )

        assert stale == 0

    def test_plain_cache_aside_leaves_many_in_the_same_harness(
        self, sql_url: str, database: Database, cache: Cache
    ) -> None:
        """The harness detects stale values."""
        plain = Database(sql_url)

        def read(key: str, load: Callable[[], int]) -> object:
            value = cache.get(key)
            if value is None:
                value = load()
                cache.put(key, value, ttl=60)
            return value

        def write(key: str, n: int) -> None:
            change(plain, value=n)
            cache.invalidate(key)

        stale = self.stale_after(database, cache.client, read, write)

        assert stale > 50
        plain.close()

    def test_many_readers_and_a_writer_end_with_the_committed_value(
        self, database: Database, cache: Cache
    ) -> None:
        """No reader gets an older value after a writer was answered."""
        committed = 0
        faults: list[str] = []
        until = time.monotonic() + 3

        load = partial(value_of, database)

        def read() -> None:
            while time.monotonic() < until:
                before = committed
                value = cache.get_or_load("item:1", load, HOUR)
                if value < before:
                    faults.append(f"read {value} after {before} was answered")

        def write() -> None:
            nonlocal committed
            for n in range(1, 100_000):
                if time.monotonic() > until:
                    return
                change(database, value=n)
                committed = n

        run_threads([write, *[read] * 7])

        assert faults == []
        assert committed > 10
        assert cache.get_or_load("item:1", load, HOUR) == committed


class TestUtcDateTime:
    def test_datetimes_are_returned_in_utc(self, database: Database) -> None:
        moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5)))

        change(database, at=moment)

        with database.read() as tx:
            stored = tx.scalars(select(Item.at)).one()
        assert stored == moment
        assert stored is not None
        assert stored.tzinfo == UTC

    def test_naive_datetimes_are_refused(self, database: Database) -> None:
        with pytest.raises(Exception, match="time zone"):
            change(database, at=datetime(2026, 1, 2))  # noqa: DTZ001  naive on purpose


def test_sixteen_threads_write_without_a_lock_error(database: Database) -> None:
    def add(n: int) -> None:
        with database.begin() as tx:
            assert tx.scalar(select(Item.id).where(Item.name == f"n{n}")) is None
            tx.add(Item(name=f"n{n}", value=n))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(100, 300)))

    with database.read() as tx:
        assert len(tx.scalars(select(Item.id)).all()) == 201
