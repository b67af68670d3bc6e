"""What is said about the next read of a cached value is what it then does."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from sqlalchemy import MetaData, update
from sqlalchemy.exc import OperationalError

from common.pyportal_common.cache_handlers import Cache, Document, Policy, RedisClient, keys
from common.pyportal_common.db import RECORDS, Audit, Database
from common.pyportal_common.db.cached_rows import PendingInvalidations
from common.pyportal_common.db.consistency import CacheKind
from common.pyportal_common.operations import CacheOperations
from common.pyportal_common.redis_server import RedisServer

from .waiting import wait_until

USERS = Policy(60, stale_for=60, jitter=0, wait=0.1, shape=Document(3))
CACHED = '{"_v":3,"id":7}'


@pytest.fixture
def client(own_client: RedisClient) -> RedisClient:
    return own_client


@pytest.fixture
def database(client: RedisClient, tmp_path: Path) -> Iterator[Database]:
    database = Database(
        f"sqlite:///{tmp_path / 'x.sqlite3'}", cache=Cache(client), trust_seconds=0.2
    )
    metadata = MetaData()
    RECORDS.to_metadata(metadata)
    metadata.create_all(database.engine)
    yield database
    database.close()


class Reader(NamedTuple):
    """Reads users as the service does, and counts the loads from SQL."""

    cache: Cache
    caches: CacheOperations
    loads: list[int]

    def check(self, said: str, *, loads: bool, is_cached: bool) -> None:
        """What is said about the next read is what it then does."""
        key = keys.user(7)
        client = self.cache.client
        assert said in self.caches.explain(key)
        before = len(self.loads)

        value = self.cache.get_or_load(key, self._load, USERS)

        assert value == {"id": 7}
        assert bool(len(self.loads) - before) == loads, said
        assert (client.get(key) == CACHED) == is_cached, said

    def _load(self) -> dict[str, int]:
        self.loads.append(1)
        return {"id": 7}


class TestWhyAReadGoesToSql:
    """Each explanation is compared with the read that follows it."""

    @pytest.fixture
    def reader(self, client: RedisClient, database: Database) -> Reader:
        kinds = [CacheKind(keys.user, lambda user_id: {"id": user_id}, USERS)]
        caches = CacheOperations(
            client,
            database,
            Audit(database),
            service="usermanagement",
            verifier=lambda: pytest.fail("nothing is verified"),
            kinds=kinds,
        )
        return Reader(Cache(client), caches, [])

    def test_it_is_cached(self, reader: Reader, client: RedisClient) -> None:
        client.set(keys.user(7), CACHED, ttl=120)

        reader.check("returns the cached value;", loads=False, is_cached=True)

        shown = reader.caches.show(keys.user(7))
        assert (shown.is_usable, shown.is_stale) == (True, False)

    def test_it_is_stale(self, reader: Reader, client: RedisClient) -> None:
        client.set(keys.user(7), CACHED, ttl=50)
        assert reader.caches.show(keys.user(7)).is_stale

        assert "returns the cached value, which is stale" in reader.caches.explain(keys.user(7))
        reader.cache.get_or_load(keys.user(7), reader._load, USERS)

        wait_until(lambda: client.get_with_ttl(keys.user(7))[1] > 60_000)
        assert reader.loads == [1]

    def test_nothing_is_cached(self, reader: Reader) -> None:
        reader.check("no value is cached", loads=True, is_cached=True)
        reader.check("returns the cached value;", loads=False, is_cached=True)

    @pytest.mark.parametrize("text", ['{"id":7}', '{"_v":2,"id":7}', "[]", "{", "\udcff"])
    def test_it_is_of_another_release(self, reader: Reader, client: RedisClient, text: str) -> None:
        client.set(keys.user(7), text, ttl=120)

        reader.check("this release cannot read it", loads=True, is_cached=True)

    def test_the_key_has_another_type(self, reader: Reader, client: RedisClient) -> None:
        client.execute("HSET", keys.user(7), "id", "7")

        reader.check("it has another type", loads=True, is_cached=True)

    @pytest.mark.parametrize("text", [None, '{"_v":2,"id":7}'])
    def test_a_writer_is_about_to_change_it(
        self, reader: Reader, client: RedisClient, text: str | None
    ) -> None:
        fence = reader.cache.fence([keys.user(7)])
        if text is not None:
            client.set(keys.user(7), text, ttl=120)

        reader.check("a writer is about to change it", loads=True, is_cached=False)

        reader.cache.unfence(fence)
        client.delete(keys.user(7))
        reader.check("no value is cached", loads=True, is_cached=True)

    def test_another_reader_loads_it(self, reader: Reader, client: RedisClient) -> None:
        client.set(keys.lease(keys.user(7)), "token", ttl=60)

        reader.check("waits for 0.1 s at most", loads=True, is_cached=False)

    def test_redis_is_full(self, reader: Reader, client: RedisClient) -> None:
        """It still returns and removes values."""
        client.execute("CONFIG", "SET", "maxmemory", "1")
        reader.check("caches nothing: Redis", loads=True, is_cached=False)
        assert "OOM" in reader.caches.explain(keys.user(7))

        client.execute("CONFIG", "SET", "maxmemory", "0")
        client.set(keys.user(7), CACHED, ttl=120)
        client.execute("CONFIG", "SET", "maxmemory", "1")

        reader.check("returns the cached value;", loads=False, is_cached=True)

    def test_redis_refuses_all_writes(self, reader: Reader, client: RedisClient) -> None:
        """It cannot remove values, so no reader trusts it."""
        client.set(keys.user(7), CACHED, ttl=120)
        client.execute("CONFIG", "SET", "min-replicas-to-write", "1")

        reader.check("NOREPLICAS", loads=True, is_cached=True)

    def test_redis_is_down(self, reader: Reader, own_redis: RedisServer) -> None:
        own_redis.kill()

        assert "loads it from SQL and caches nothing: Redis" in reader.caches.explain(keys.user(7))
        assert reader.cache.get_or_load(keys.user(7), reader._load, USERS) == {"id": 7}
        assert reader.loads == [1]

    def test_sql_is_down(
        self, reader: Reader, client: RedisClient, database: Database, monkeypatch: Any
    ) -> None:
        def fail(*_: object) -> None:
            raise OperationalError("made", {}, Exception("for this test"))

        assert database.invalidations is not None
        monkeypatch.setattr(database.invalidations.records, "pending", fail)
        client.set(keys.user(7), CACHED, ttl=120)

        reader.check("returns the cached value;", loads=False, is_cached=True)

    def test_its_change_is_pending(
        self, reader: Reader, client: RedisClient, database: Database
    ) -> None:
        client.set(keys.user(7), CACHED.replace("7", "6"), ttl=120)
        self.insert_record(database)

        reader.check("its older value is removed first", loads=True, is_cached=True)

    def test_redis_refuses_to_remove_an_older_value(
        self, reader: Reader, client: RedisClient, database: Database, own_redis: RedisServer
    ) -> None:
        client.set(keys.user(7), CACHED, ttl=120)
        with closing(redis.Redis(port=own_redis.port)) as admin:
            only_read = [
                "resetkeys",
                "%R~user:*",
                "~lease:*",
                "~fence:*",
                "~cache:*",
                "~pyportal:*",
            ]
            admin.execute_command("ACL SETUSER", "default", *only_read)
        number = self.insert_record(database)
        failed = update(RECORDS).where(RECORDS.c.id == number)
        with database.engine.begin() as connection:
            connection.execute(failed.values(failures=1, reason="NOPERM"))

        reader.check("Redis refuses to remove an older value", loads=True, is_cached=True)

    @staticmethod
    def insert_record(database: Database) -> int:
        assert database.invalidations is not None
        with database.engine.begin() as connection:
            return database.invalidations.records.insert(
                connection, PendingInvalidations({keys.user(7)})
            )
