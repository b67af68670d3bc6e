"""Commits of an app's own sessions, on its own engine, leave no old value in the cache."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from sqlalchemy import (
    Connection,
    Engine,
    ForeignKey,
    create_engine,
    delete,
    event,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    scoped_session,
    sessionmaker,
)

from common.pyportal_common.cache_handlers import Cache, Policy, RedisClient
from common.pyportal_common.db import (
    RECORDS,
    CachedRow,
    Database,
    TooManyWaitingWriters,
    UndeclaredCacheKeys,
)
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.settings import ConfigurationError

from .load import Connect
from .waiting import wait_until

HOUR = Policy(ttl=3600)
Sessions = sessionmaker[Session]


class Base(DeclarativeBase):
    """The app's own base."""


RECORDS.to_metadata(Base.metadata)


class User(CachedRow, Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    age: Mapped[int] = mapped_column(default=0)
    pets: Mapped[list["Pet"]] = relationship(cascade="all, delete-orphan")

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        return f"user:{row['id']}", f"name:{row['name']}"


class Pet(CachedRow, Base):
    __tablename__ = "pets"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        return (f"pets:{row['user_id']}",)


@pytest.fixture
def engine(sql_url: str) -> Iterator[Engine]:
    engine = create_engine(sql_url.replace("postgresql://", "postgresql+psycopg://"))
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(User).values(name="ann"))
    yield engine
    Base.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def cache(redis_client: RedisClient) -> Cache:
    return Cache(redis_client)


@pytest.fixture
def database(engine: Engine, cache: Cache) -> Iterator[Database]:
    database = Database(engine, cache=cache)
    yield database
    database.close()


@pytest.fixture
def sessions(engine: Engine, database: Database) -> Sessions:
    sessions = sessionmaker(engine)
    database.watch(sessions)
    return sessions


def fill(cache: Cache, *names: str) -> None:
    cache.put_many(dict.fromkeys(names, "old"), ttl=60)


def left(cache: Cache, *names: str) -> list[str]:
    return [name for name in names if cache.get(name) is not None]


class TestCommit:
    def test_a_change_removes_the_values_of_old_and_new_keys(
        self, sessions: Sessions, cache: Cache
    ) -> None:
        fill(cache, "user:1", "name:ann", "name:bea", "user:2")

        with sessions() as session:
            session.get_one(User, 1).name = "bea"
            session.flush()
            assert left(cache, "user:1") == ["user:1"]
            session.commit()

        assert left(cache, "user:1", "name:ann", "name:bea", "user:2") == ["user:2"]
        assert list(cache.client.scan("fence:*")) == []

    @pytest.mark.parametrize("how", ["begin", "maker.begin", "scoped"])
    def test_every_way_to_commit_invalidates(
        self, sessions: Sessions, database: Database, cache: Cache, how: str
    ) -> None:
        fill(cache, "user:1")

        if how == "begin":
            with sessions() as session, session.begin():
                session.get_one(User, 1).age = 7
        elif how == "maker.begin":
            with sessions.begin() as session:
                session.get_one(User, 1).age = 7
        else:
            scoped = scoped_session(sessions)
            database.watch(scoped)
            scoped.get_one(User, 1).age = 7
            scoped.commit()
            scoped.remove()

        assert cache.get("user:1") is None

    def test_a_session_commits_several_times(self, sessions: Sessions, cache: Cache) -> None:
        with sessions() as session:
            user = session.get_one(User, 1)
            for age in (1, 2):
                fill(cache, "user:1", "name:ann")
                user.age = age
                session.commit()
                assert left(cache, "user:1", "name:ann") == []

            fill(cache, "user:1")
            session.add(User(name="bea"))
            session.commit()

        assert left(cache, "user:1") == ["user:1"]

    def test_an_attribute_that_was_not_loaded_has_an_old_key(
        self, sessions: Sessions, cache: Cache
    ) -> None:
        fill(cache, "name:ann")

        with sessions() as session:
            user = session.get_one(User, 1)
            session.commit()  # which expires the user
            user.name = "bea"
            session.commit()

        assert cache.get("name:ann") is None

    def test_rows_that_the_mapper_changes_are_invalidated(
        self, sessions: Sessions, cache: Cache
    ) -> None:
        with sessions.begin() as session:
            session.get_one(User, 1).pets = [Pet(), Pet()]
        fill(cache, "pets:1")

        with sessions.begin() as session:
            user = session.get_one(User, 1)
            user.pets.pop()  # an orphan
        assert cache.get("pets:1") is None

        fill(cache, "pets:1", "user:1")
        with sessions.begin() as session:
            session.delete(session.get_one(User, 1))  # and with it the other pet
        assert left(cache, "pets:1", "user:1") == []

    def test_a_rollback_invalidates_nothing(self, sessions: Sessions, cache: Cache) -> None:
        fill(cache, "user:1", "name:ann")

        with sessions() as session:
            session.get_one(User, 1).age = 7
            session.flush()
            session.rollback()
            session.commit()
        with pytest.raises(IntegrityError), sessions.begin() as session:
            session.add(User(id=1, name="ann"))

        assert left(cache, "user:1", "name:ann") == ["user:1", "name:ann"]

    def test_the_end_of_a_savepoint_is_no_commit(self, sessions: Sessions, cache: Cache) -> None:
        fill(cache, "user:1", "name:bea")

        with sessions() as session:
            with session.begin_nested():
                session.get_one(User, 1).name = "bea"
            assert left(cache, "user:1", "name:bea") == ["user:1", "name:bea"]
            session.commit()

        assert left(cache, "user:1", "name:bea") == []

    def test_a_commit_within_a_savepoint_invalidates(
        self, sessions: Sessions, cache: Cache
    ) -> None:
        for commit in (Session.commit, lambda session: session.get_transaction().commit()):
            fill(cache, "user:1")
            with sessions() as session:
                user = session.get_one(User, 1)
                session.begin_nested()
                user.age += 1
                commit(session)
            assert cache.get("user:1") is None

    def test_changes_by_a_listener_at_the_commit_are_invalidated(
        self, sessions: Sessions, cache: Cache
    ) -> None:
        fill(cache, "user:1", "name:bea")

        with sessions() as session:
            event.listen(session, "before_commit", lambda tx: tx.add(User(name="bea")))
            session.get_one(User, 1).age = 7
            session.commit()

        assert left(cache, "user:1", "name:bea") == []

    def test_a_failed_commit_leaves_no_fence(
        self, engine: Engine, sessions: Sessions, cache: Cache
    ) -> None:
        fill(cache, "user:1")

        def fail(_: Connection) -> None:
            raise OSError("the disk is full")

        with sessions() as session:
            session.get_one(User, 1).age = 7
            session.flush()
            event.listen(engine, "commit", fail)
            with pytest.raises(OSError, match="full"):
                session.commit()
        event.remove(engine, "commit", fail)
        with sessions() as session:
            assert session.get_one(User, 1).age == 0

        assert list(cache.client.scan("fence:*")) == []
        assert cache.get_or_load("user:1", lambda: 0, HOUR) == 0
        assert cache.get("user:1") == 0

    def test_a_session_in_the_transaction_of_a_connection_invalidates_at_its_commit(
        self, engine: Engine, sessions: Sessions, cache: Cache
    ) -> None:
        fill(cache, "user:1")

        with engine.begin() as connection, sessions(bind=connection) as session:
            session.get_one(User, 1).age = 7
            session.commit()
            assert left(cache, "user:1") == ["user:1"]

        assert cache.get_or_load("user:1", lambda: 7, HOUR) == 7

    def test_begin_on_the_apps_engine_invalidates(self, database: Database, cache: Cache) -> None:
        fill(cache, "user:1")

        with database.begin() as tx:
            tx.get_one(User, 1).age = 7

        assert cache.get("user:1") is None
        with database.read() as tx:
            assert tx.get_one(User, 1).age == 7


CHANGES: dict[str, Callable[[Any], object]] = {
    "update": lambda tx: tx.execute(update(User).values(age=7)),
    "a table": lambda tx: tx.execute(
        update(User.__table__).values(age=7)  # type: ignore[arg-type]  # it is a Table
    ),
    "delete": lambda tx: tx.execute(delete(User)),
    "insert": lambda tx: tx.execute(insert(User), [{"name": "bea"}]),
    "Query.update": lambda tx: tx.query(User).update({"age": 7}),
    "Query.delete": lambda tx: tx.query(User).delete(),
    "returning": lambda tx: tx.scalars(
        select(User).from_statement(update(User).values(age=7).returning(User))
    ),
    "text": lambda tx: tx.execute(text("UPDATE users SET age = 7")),
    "two texts": lambda tx: tx.execute(text("SELECT 1; DELETE FROM users")),
    "text with columns": lambda tx: tx.execute(
        text("UPDATE users SET age = 7 RETURNING id").columns(User.id)
    ),
    "bulk_save_objects": lambda tx: tx.bulk_save_objects([User(name="bea")]),
    "bulk_insert_mappings": lambda tx: tx.bulk_insert_mappings(User, [{"name": "bea"}]),
    "bulk_update_mappings": lambda tx: tx.bulk_update_mappings(User, [{"id": 1, "age": 7}]),
}


class TestRefusals:
    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_a_statement_without_its_keys_is_refused(
        self, sessions: Sessions, change: Callable[[Session], object]
    ) -> None:
        with pytest.raises(UndeclaredCacheKeys), sessions.begin() as session:
            change(session)

        with sessions() as session:
            assert [user.age for user in session.scalars(select(User))] == [0]

    def test_a_statement_with_its_keys_invalidates(self, sessions: Sessions, cache: Cache) -> None:
        keys = {"cache_keys": ["user:1"]}
        changes: list[Callable[[Session], object]] = [
            lambda tx: tx.execute(update(User).values(age=7), execution_options=keys),
            lambda tx: tx.query(User).execution_options(**keys).update({"age": 8}),
            lambda tx: tx.execute(text("UPDATE users SET age = 9"), execution_options=keys),
        ]
        for change in changes:
            fill(cache, "user:1")
            with sessions.begin() as session:
                change(session)
            assert cache.get("user:1") is None

    def test_a_text_that_reads_is_not_refused(self, sessions: Sessions) -> None:
        with sessions() as session:
            assert session.scalar(text(" select count(*) from users")) == 1

    def test_cached_rows_change_in_no_other_session(self, engine: Engine) -> None:
        with Session(engine) as session:
            session.get_one(User, 1).age = 7
            with pytest.raises(UndeclaredCacheKeys, match=r"Database\.watch"):
                session.commit()

    def test_cached_rows_change_on_no_other_engine(
        self, sessions: Sessions, engine: Engine
    ) -> None:
        other = create_engine(engine.url)
        with sessions(bind=other) as session:
            session.get_one(User, 1).age = 7
            with pytest.raises(UndeclaredCacheKeys, match="no Database"):
                session.commit()
            session.rollback()
            with pytest.raises(UndeclaredCacheKeys, match="no Database"):
                session.execute(
                    update(User).values(age=7), execution_options={"cache_keys": ["user:1"]}
                )
        other.dispose()

    def test_two_phase_commits_are_refused(self, sessions: Sessions) -> None:
        with sessions() as session:
            session.get_one(User, 1).age = 7
            session.twophase = True  # on SQLite it could not begin
            with pytest.raises(UndeclaredCacheKeys, match="two-phase"):
                session.commit()

    def test_a_database_in_memory_is_refused(self, cache: Cache) -> None:
        with pytest.raises(ConfigurationError, match="must be a file"):
            Database(create_engine("sqlite://"), cache=cache)

    def test_watch_needs_a_cache_and_a_sessionmaker(
        self, engine: Engine, database: Database
    ) -> None:
        with pytest.raises(TypeError, match="cache"):
            Database(engine).watch(sessionmaker(engine))
        with pytest.raises(TypeError, match="sessionmaker"):
            database.watch(scoped_session(lambda: Session(engine)))  # type: ignore[arg-type]


class TestOutage:
    @pytest.fixture
    def cache(self, own_redis: RedisServer, connect: Connect) -> Cache:
        return Cache(connect(own_redis))

    def test_a_commit_during_an_outage_waits_until_nobody_trusts_the_old_value(
        self,
        own_redis: RedisServer,
        engine: Engine,
        cache: Cache,
    ) -> None:
        database = Database(engine, cache=cache, trust_seconds=0.5)
        sessions = sessionmaker(engine)
        database.watch(sessions)
        fill(cache, "user:1")
        own_redis.pause()
        started = time.monotonic()

        with sessions.begin() as session:
            session.get_one(User, 1).age = 7

        assert time.monotonic() - started > 0.5
        assert cache.get_or_load("user:1", lambda: 7, HOUR) == 7
        own_redis.resume()
        wait_until(lambda: cache.client.ping() and cache.client.get("user:1") is None)
        database.close()

    def test_writers_that_cannot_wait_write_nothing(
        self, own_redis: RedisServer, engine: Engine, cache: Cache
    ) -> None:
        database = Database(engine, cache=cache, waiting_writers=0)
        sessions = sessionmaker(engine)
        database.watch(sessions)
        own_redis.kill()

        with sessions() as session:
            session.get_one(User, 1).age = 7
            with pytest.raises(TooManyWaitingWriters):
                session.commit()
        with engine.connect() as connection:
            assert connection.scalar(select(User.age)) == 0
        database.close()

    def test_every_place_to_wait_is_returned(
        self, own_redis: RedisServer, engine: Engine, cache: Cache
    ) -> None:
        database = Database(engine, cache=cache, waiting_writers=1, trust_seconds=0.1)
        sessions = sessionmaker(engine)
        database.watch(sessions)
        own_redis.kill()

        for age in range(1, 4):
            with sessions.begin() as session:
                session.get_one(User, 1).age = age
        database.close()


def test_no_read_after_a_commit_is_older(sessions: Sessions, cache: Cache) -> None:
    """Threads read while others commit; after each commit its thread reads what it has written."""
    stale: list[tuple[int, int]] = []
    ended = Event()

    def load() -> int:
        with sessions() as session:
            return session.get_one(User, 1).age

    def read() -> None:
        newest = -1
        while not ended.is_set():
            age = cache.get_or_load("user:1", load, HOUR)
            if age < newest:
                stale.append((age, newest))
            newest = age

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        for age in range(1, 61):
            with sessions.begin() as session:
                session.get_one(User, 1).age = age
            found = cache.get_or_load("user:1", load, HOUR)
            if found < age:
                stale.append((found, age))
        ended.set()
        for reader in readers:
            reader.result()

    assert stale == []
