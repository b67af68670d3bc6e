"""Commits that leave no old value in the cache, on SQLite and PostgreSQL."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, load_only

from common.pyportal_common.cache_handlers import Cache, Policy, RedisClient, RedisPoolExhausted
from common.pyportal_common.db import Database, Transaction, UndeclaredCacheKeys
from common.pyportal_common.redis_server import RedisServer

from .items import Item, change, create_tables, drop_tables

HOUR = Policy(ttl=3600)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'items.sqlite3'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def cache(redis_client: RedisClient) -> Cache:
    return Cache(redis_client)


@pytest.fixture
def database(url: str, cache: Cache) -> Iterator[Database]:
    database = Database(url, pool_size=16, cache=cache)
    create_tables(database)
    yield database
    drop_tables(database)
    database.close()


class TestCommit:
    def test_a_change_removes_the_value_and_the_lookups_of_both_names(
        self, database: Database, cache: Cache, redis_client: RedisClient
    ) -> None:
        cache.put_many({"item:1": {}, "name:one": 1, "name:uno": 1, "item:2": {}}, ttl=60)

        change(database, name="uno")

        assert redis_client.get_many(["item:1", "name:one", "name:uno", "item:2"]) == {
            "item:2": "{}"
        }
        assert list(redis_client.scan("fence:*")) == []

    def test_a_new_row_removes_what_was_remembered_as_missing(
        self, database: Database, cache: Cache
    ) -> None:
        assert cache.get_or_load("name:two", lambda: None, HOUR) is None

        with database.begin() as tx:
            tx.add(Item(name="two", value=2))

        assert cache.get_or_load("name:two", lambda: 2, HOUR) == 2

    def test_a_deleted_row_is_removed(self, database: Database, cache: Cache) -> None:
        cache.put("item:1", {}, ttl=60)

        with database.begin() as tx:
            tx.delete(tx.get_one(Item, 1))

        assert cache.get("item:1") is None

    def test_a_rollback_touches_nothing(self, database: Database, cache: Cache) -> None:
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

    def test_a_statement_has_to_say_its_keys(self, database: Database, cache: Cache) -> None:
        cache.put("item:1", {}, ttl=60)
        statement = update(Item).where(Item.id == 1).values(value=7)

        with pytest.raises(UndeclaredCacheKeys, match="Item"), database.begin() as tx:
            tx.execute(statement)
        with pytest.raises(UndeclaredCacheKeys), database.begin() as tx:
            tx.execute(delete(Item))
        with database.begin() as tx:
            tx.execute(statement, execution_options={"cache_keys": ["item:1"]})

        assert cache.get("item:1") is None
        with database.read() as tx:
            assert tx.scalar(select(Item.value)) == 7

    def test_so_has_a_statement_on_the_table_and_the_bulk_calls_are_refused(
        self, database: Database
    ) -> None:
        with pytest.raises(UndeclaredCacheKeys), database.begin() as tx:
            tx.execute(update(Item.__table__).values(value=7))  # type: ignore[arg-type]  # is one
        with pytest.raises(UndeclaredCacheKeys), database.begin() as tx:
            tx.bulk_update_mappings(Item.__mapper__, [{"id": 1, "value": 7}])

    def test_so_has_a_statement_in_plain_text(self, database: Database, cache: Cache) -> None:
        cache.put("item:1", {}, ttl=60)
        statement = text("update items set value = 9")

        with pytest.raises(UndeclaredCacheKeys), database.begin() as tx:
            tx.execute(statement)
        with database.begin() as tx:
            tx.execute(statement, execution_options={"cache_keys": ["item:1"]})

        assert cache.get("item:1") is None

    def test_a_row_that_was_loaded_in_part_has_all_its_keys(
        self, database: Database, cache: Cache
    ) -> None:
        cache.put_many({"item:1": {}, "name:one": 1}, ttl=60)

        with database.begin() as tx:
            item = tx.scalars(select(Item).options(load_only(Item.id))).one()
            item.value = 7

        assert [cache.get("item:1"), cache.get("name:one")] == [None, None]

    def test_no_commit_without_a_fence_while_redis_is_there(
        self, database: Database, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def exhausted(*_: object) -> None:
            raise RedisPoolExhausted("all in use")

        monkeypatch.setattr(cache._client, "run", exhausted)
        with pytest.raises(RedisPoolExhausted):
            change(database, value=9)

        with database.read() as tx:
            assert tx.scalar(select(Item.value)) == 0

    def test_a_commit_of_unknown_outcome_removes_too(
        self, database: Database, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.put("item:1", {}, ttl=60)

        def commit_and_lose_the_answer(tx: Transaction) -> None:
            tx.connection().commit()
            cache.put("item:1", "what a reader filled meanwhile", ttl=60)
            raise ConnectionError("the answer was lost")

        monkeypatch.setattr(Session, "commit", commit_and_lose_the_answer)
        with pytest.raises(ConnectionError):
            change(database, value=1)

        assert cache.get("item:1") is None

    def test_without_redis_the_commit_stands(
        self,
        url: str,
        database: Database,
        own_redis: RedisServer,
        connect: Callable[..., RedisClient],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        other = Database(url, cache=Cache(connect(own_redis)))
        own_redis.kill()
        caplog.set_level("DEBUG")

        change(other, value=5)

        with database.read() as tx:
            assert tx.scalar(select(Item.value)) == 5
        assert "2 values are old until they are swept" in caplog.text
        other.close()


class TestOverlap:
    """A reader and a writer of one row at once, a thousand times."""

    TRIALS = 1000

    def stale_after(
        self,
        database: Database,
        redis_client: RedisClient,
        read: Callable[[str, Callable[[], int]], object],
        write: Callable[[str, int], None],
    ) -> int:
        chance = random.Random(1)

        def load() -> int:
            with database.read() as tx:
                value = tx.scalar(select(Item.value).where(Item.id == 1)) or 0
            time.sleep(chance.random() * 0.003)
            return value

        stale = 0
        with ThreadPoolExecutor(2) as pool:
            for n in range(1, self.TRIALS + 1):
                redis_client.delete("item:1")
                reading = pool.submit(read, "item:1", load)
                time.sleep(chance.random() * 0.002)
                writing = pool.submit(write, "item:1", n)
                reading.result(10)
                writing.result(10)
                stale += redis_client.get("item:1") not in {None, str(n)}
        return stale

    def test_nothing_stale_is_left(
        self, database: Database, cache: Cache, redis_client: RedisClient
    ) -> None:
        stale = self.stale_after(
            database,
            redis_client,
            lambda key, load: cache.get_or_load(key, load, HOUR),
            lambda _, n: change(database, value=n),
        )

        assert stale == 0

    def test_plain_cache_aside_in_the_same_harness_leaves_many(
        self, url: str, database: Database, cache: Cache, redis_client: RedisClient
    ) -> None:
        """The harness can tell."""
        plain = Database(url)

        def read(key: str, load: Callable[[], int]) -> object:
            value = cache.get(key)
            if value is None:
                value = load()
                cache.put(key, value, ttl=60)
            return value

        def write(key: str, n: int) -> None:
            change(plain, value=n)
            cache.invalidate(key)

        stale = self.stale_after(database, redis_client, read, write)

        assert stale > 50
        plain.close()

    def test_many_readers_and_writers_end_with_what_is_committed(
        self, database: Database, cache: Cache
    ) -> None:
        """And nobody reads an older value after a newer one was answered to a writer."""
        committed = 0
        faults: list[str] = []
        until = time.monotonic() + 3

        def load() -> int:
            with database.read() as tx:
                return tx.scalar(select(Item.value).where(Item.id == 1)) or 0

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

        threads = [threading.Thread(target=target) for target in (write, *[read] * 7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert faults == []
        assert committed > 10
        assert cache.get_or_load("item:1", load, HOUR) == committed


class TestMoments:
    def test_they_come_back_in_utc(self, database: Database) -> None:
        moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5)))

        change(database, at=moment)

        with database.read() as tx:
            stored = tx.scalar(select(Item.at))
        assert stored == moment
        assert stored is not None
        assert stored.tzinfo == UTC

    def test_a_naive_one_is_refused(self, database: Database) -> None:
        with pytest.raises(Exception, match="time zone"):
            change(database, at=datetime(2026, 1, 2))  # noqa: DTZ001  that is the point


def test_sixteen_threads_write_without_a_lock_error(database: Database) -> None:
    def add(n: int) -> None:
        with database.begin() as tx:
            assert tx.scalar(select(Item.id).where(Item.name == f"n{n}")) is None
            tx.add(Item(name=f"n{n}", value=n))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(100, 300)))

    with database.read() as tx:
        assert len(tx.scalars(select(Item.id)).all()) == 201
