"""No invalidation is lost, whatever dies; on SQLite and PostgreSQL, with real crashes."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import OperationalError

from common.pyportal_common.cache_handlers import (
    Cache,
    Policy,
    RedisClient,
    RedisSettings,
    RedisUnavailable,
    Revocation,
    SessionStore,
)
from common.pyportal_common.db import Database, revoke_sessions
from common.pyportal_common.db.invalidations import RECORDS
from common.pyportal_common.redis_server import RedisServer, free_port

from . import items
from .items import Item, change, create_tables, drop_tables

HOUR = Policy(ttl=3600)

Connect = Callable[..., RedisClient]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'items.sqlite3'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def open_database(
    url: str, own_redis: RedisServer, connect: Connect
) -> Iterator[Callable[[], Database]]:
    """Opens the database as another process would: with connections to Redis of its own."""
    opened: list[Database] = []

    def open_one() -> Database:
        client = connect(own_redis)
        database = Database(url, cache=Cache(client), sessions=SessionStore(client))
        opened.append(database)
        return database

    create_tables(open_one())
    yield open_one
    drop_tables(opened[0])
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: Callable[[], Database]) -> Database:
    return open_database()


@pytest.fixture
def cut_off(database: Database, url: str) -> Iterator[Database]:
    """The database of a process that does not reach Redis."""
    settings = RedisSettings.load(url=f"redis://127.0.0.1:{free_port()}", _env_file=None)
    client = RedisClient.connect(settings, db=0)
    database = Database(url, cache=Cache(client))
    yield database
    database.close()
    client.breaker.close()
    client.close()


def records(database: Database) -> list[Row[Any]]:
    with database.read() as tx:
        return list(tx.execute(select(RECORDS).order_by(RECORDS.c.id)).all())


def value_of(database: Database) -> int | None:
    with database.read() as tx:
        return tx.scalar(select(Item.value).where(Item.id == 1))


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_each_commit_leaves_a_record_that_is_marked_done(database: Database) -> None:
    change(database, value=1, name="uno")

    assert records(database)[-1].keys == '["item:1", "name:one", "name:uno"]'
    wait_until(lambda: all(record.done_at for record in records(database)), seconds=5)


def test_a_rollback_leaves_none(database: Database) -> None:
    before = len(records(database))

    with pytest.raises(ZeroDivisionError), database.begin() as tx:
        tx.get_one(Item, 1).value = 1 // 0

    assert len(records(database)) == before


def test_a_writer_killed_after_its_commit_leaves_nothing_old(
    database: Database,
    url: str,
    own_redis: RedisServer,
    connect: Connect,
) -> None:
    cache = Cache(connect(own_redis))
    written = [sys.executable, "-m", items.__name__, url, str(own_redis.port)]

    died = subprocess.run(written, check=False, timeout=30)
    assert died.returncode == -9
    assert value_of(database) == 1
    time.sleep(0.2)  # its fence has ended
    cache.put("item:1", "what a slow reader filled", ttl=60)

    wait_until(lambda: cache.get("item:1") is None, seconds=3)


def test_what_a_process_cut_off_from_redis_commits_is_removed_by_others(
    database: Database, cut_off: Database, own_redis: RedisServer, connect: Connect
) -> None:
    cache = Cache(connect(own_redis))
    change(database, value=1)  # it sweeps from now on
    cache.put("item:1", "old", ttl=60)

    change(cut_off, value=2)

    wait_until(lambda: cache.get("item:1") is None, seconds=4)


def test_commits_during_an_outage_are_made_up_for_when_it_ends(
    database: Database, own_redis: RedisServer, connect: Connect
) -> None:
    cache = Cache(connect(own_redis))
    assert cache.get_or_load("item:1", lambda: value_of(database), HOUR) == 0
    own_redis.kill()

    change(database, value=1)

    assert records(database)[-1].done_at is None
    own_redis.start()
    wait_until(lambda: records(database)[-1].done_at is not None, seconds=8)
    assert cache.get_or_load("item:1", lambda: value_of(database), HOUR) == 1


class TestACrashThatForgets:
    """Redis starts again from an older copy of its append-only file."""

    @pytest.fixture
    def forget(self, own_redis: RedisServer, tmp_path: Path) -> Callable[[], None]:
        """Call it to crash Redis back to what it held before the test's body went on."""
        copy = tmp_path / "older"

        def remember() -> None:
            time.sleep(1.2)  # everysec: what is acknowledged is in the file by now
            shutil.copytree(own_redis.directory, copy)

        def crash() -> None:
            own_redis.kill()
            shutil.rmtree(own_redis.directory)
            shutil.copytree(copy, own_redis.directory)
            own_redis.start()

        self.remember = remember
        return crash

    def test_no_reader_sees_what_was_invalidated(
        self,
        open_database: Callable[[], Database],
        database: Database,
        own_redis: RedisServer,
        connect: Connect,
        forget: Callable[[], None],
    ) -> None:
        bystander = connect(own_redis)
        Cache(bystander).get_or_load("item:1", lambda: value_of(database), HOUR)
        self.remember()
        change(database, value=1)
        forget()
        assert connect(own_redis).get("item:1") == "0"  # it really has forgotten

        reader = open_database()
        cache = reader._cache
        assert cache is not None
        assert cache.get_or_load("item:1", lambda: value_of(reader), HOUR) == 1

    def test_no_session_is_alive_again_that_a_commit_has_ended(
        self,
        database: Database,
        own_redis: RedisServer,
        connect: Connect,
        forget: Callable[[], None],
    ) -> None:
        sessions = SessionStore(connect(own_redis))
        kept, ended = sessions.create(7, {}), sessions.create(7, {})
        self.remember()
        with database.begin() as tx:
            revoke_sessions(tx, Revocation.of(7, 1, kept.session_id))
        assert sessions.load(ended.session_id) is None
        forget()

        assert database._sessions is not None
        wait_until(database._sessions.client.ping, seconds=5)

        assert database._sessions.load(ended.session_id) is None
        assert database._sessions.load(kept.session_id) is not None

    def test_sql_that_is_down_then_is_an_outage_of_both(
        self,
        open_database: Callable[[], Database],
        forget: Callable[[], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.remember()
        forget()
        reader = open_database()
        assert reader._invalidations is not None
        assert reader._cache is not None

        def down() -> None:
            raise OperationalError("SELECT", {}, ConnectionError("down"))

        monkeypatch.setattr(reader._invalidations, "_own_engine", down)

        with pytest.raises(RedisUnavailable, match="greeting"):
            reader._cache.client.get("item:1")


class TestRevocation:
    def test_a_commit_ends_sessions_at_once(
        self, database: Database, own_redis: RedisServer, connect: Connect
    ) -> None:
        sessions = SessionStore(connect(own_redis))
        session = sessions.create(7, {})

        with database.begin() as sql:
            revoke_sessions(sql, Revocation.of(7, 1))

        assert sessions.load(session.session_id) is None

    def test_in_an_outage_it_is_told_and_made_up_for(
        self, database: Database, own_redis: RedisServer, connect: Connect
    ) -> None:
        sessions = SessionStore(connect(own_redis))
        session = sessions.create(7, {})
        time.sleep(1.2)  # it is in the file
        own_redis.kill()

        with pytest.raises(RedisUnavailable), database.begin() as sql:
            revoke_sessions(sql, Revocation.of(7, 1))

        own_redis.start()
        wait_until(lambda: records(database)[-1].done_at is not None, seconds=8)
        wait_until(sessions.client.ping, seconds=5)
        assert sessions.load(session.session_id) is None

    def test_a_session_of_the_new_epoch_outlives_the_revocation_that_comes_again(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        sessions = SessionStore(connect(own_redis))
        older, newer = sessions.create(7, {}), sessions.create(7, {}, auth_epoch=1)

        for _ in range(2):
            sessions.revoke_as(Revocation.of(7, 1))

        assert sessions.load(older.session_id) is None
        assert sessions.load(newer.session_id) is not None
        assert [each.session_id for each in sessions.list(7)] == [newer.session_id]


class TestStrict:
    def test_it_raises_where_nobody_makes_up_for_it(
        self, database: Database, own_redis: RedisServer
    ) -> None:
        own_redis.kill()

        with pytest.raises(RedisUnavailable):
            change(database, value=1, strict=True)

        assert value_of(database) == 1

    def test_it_waits_for_another_process(self, database: Database, cut_off: Database) -> None:
        change(database, value=1)  # it sweeps from now on

        change(cut_off, value=2, strict=True)

        assert records(database)[-1].done_at is not None


class TestPurge:
    def old(self, database: Database, **columns: Any) -> int:
        past = datetime.now(UTC) - timedelta(minutes=5)
        row = {"keys": "[]", "revocations": "[]", "created_at": past, "done_at": past, **columns}
        with database.begin() as tx:
            statement = insert(RECORDS).values(row).returning(RECORDS.c.id)
            return int(tx.execute(statement).scalar_one())

    def test_what_was_done_a_while_ago_is_forgotten(self, database: Database) -> None:
        old = self.old(database)
        change(database, value=1)
        recent = records(database)[-1].id
        assert database._invalidations is not None

        database._invalidations.purge()

        left = {record.id for record in records(database)}
        assert old not in left
        assert recent in left

    def test_not_while_redis_may_have_forgotten_it(
        self, database: Database, own_redis: RedisServer, connect: Connect
    ) -> None:
        old = self.old(database)
        change(database, value=1)  # it is connected from now on
        connect(own_redis).set("cache:marker", "another server")
        assert database._invalidations is not None

        database._invalidations.purge()

        assert old in {record.id for record in records(database)}

    def test_what_is_pending_stays_however_old(
        self, database: Database, own_redis: RedisServer
    ) -> None:
        own_redis.kill()
        change(database, value=1)
        pending = records(database)[-1].id
        with database.begin() as tx:
            past = datetime.now(UTC) - timedelta(days=9)
            tx.execute(update(RECORDS).values(created_at=past))
        assert database._invalidations is not None

        with pytest.raises(RedisUnavailable):
            database._invalidations.purge()

        assert pending in {record.id for record in records(database)}


def test_a_writer_that_keeps_sql_for_itself_does_not_hold_up_the_sweep(
    database: Database, cut_off: Database, own_redis: RedisServer, connect: Connect
) -> None:
    cache = Cache(connect(own_redis))
    change(cut_off, value=1)
    cache.put("item:1", "old", ttl=60)
    assert database._invalidations is not None

    with database.begin() as tx:
        tx.get_one(Item, 1)  # SQLite has one writer at a time
        database._invalidations.done(0)  # to write that has to wait
        wait_until(lambda: cache.get("item:1") is None, seconds=2.5)
