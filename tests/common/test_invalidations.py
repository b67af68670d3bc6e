"""No invalidation is lost, whatever fails; with real crashes."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, delete, insert, select, update

from common.pyportal_common.cache_handlers import (
    Cache,
    Policy,
    RedisClient,
    RedisUnavailable,
    Revocation,
    SessionStore,
    Stores,
    keys,
)
from common.pyportal_common.db import Database, revoke_sessions
from common.pyportal_common.db.invalidations import Invalidations
from common.pyportal_common.db.records import RECORDS
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.web import create_service

from . import items
from .backups import Backup
from .items import Item, change, create_tables, drop_tables, value_of
from .load import ROOT, Connect
from .waiting import wait_until

HOUR = Policy(ttl=3600)


OpenDatabase = Callable[[RedisClient], Database]


@pytest.fixture
def cache(own_client: RedisClient) -> Cache:
    """The cache of another process, which has no database."""
    return Cache(own_client)


@pytest.fixture
def sessions(own_client: RedisClient) -> SessionStore:
    """The sessions of that process."""
    return SessionStore(own_client)


@pytest.fixture
def open_database(sql_url: str) -> Iterator[OpenDatabase]:
    opened: list[Database] = []

    def open_one(client: RedisClient) -> Database:
        opened.append(Database(sql_url, cache=Cache(client), sessions=SessionStore(client)))
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture
def database_client(own_redis: RedisServer, connect: Connect) -> RedisClient:
    """The client of the process with `database`."""
    return connect(own_redis)


@pytest.fixture
def database(open_database: OpenDatabase, database_client: RedisClient) -> Iterator[Database]:
    database = open_database(database_client)
    create_tables(database)
    yield database
    drop_tables(database)


@pytest.fixture
def cut_off(
    database: Database,
    open_database: OpenDatabase,
    connect: Connect,
    tmp_path: Path,
) -> Database:
    """The database of a worker that cannot reach Redis."""
    database = open_database(connect(RedisServer(tmp_path, tmp_path, port=free_port())))
    database.writers_wait = False
    return database


def invalidations_of(database: Database) -> Invalidations:
    assert database.invalidations is not None
    return database.invalidations


def records(database: Database) -> list[Row[Any]]:
    with database.read() as tx:
        return list(tx.execute(select(RECORDS).order_by(RECORDS.c.id)).all())


def rows(database: Database) -> dict[int, Row[Any]]:
    return {record.id: record for record in records(database)}


def record_ids(database: Database) -> list[int]:
    return [record.id for record in records(database)]


def last_is_done(database: Database) -> bool:
    return records(database)[-1].done_at is not None


def revoke(database: Database, *spared: str) -> None:
    """Commit the revocation of all sessions of user 7 but these."""
    with database.begin() as tx:
        revoke_sessions(tx, Revocation.of(7, 1, *spared))


def test_each_commit_leaves_a_record_that_is_marked_done(database: Database) -> None:
    change(database, value=1, name="uno")

    assert records(database)[-1].keys == '["item:1", "name:one", "name:uno"]'
    wait_until(lambda: all(record.done_at for record in records(database)))


def test_a_rollback_leaves_no_record(database: Database) -> None:
    before = len(records(database))

    with pytest.raises(ZeroDivisionError), database.begin() as tx:
        tx.get_one(Item, 1).value = 1 // 0

    assert len(records(database)) == before


def test_values_of_a_writer_killed_after_its_commit_are_removed(
    database: Database, cache: Cache, sql_url: str, own_redis: RedisServer
) -> None:
    writer = [sys.executable, "-m", items.__name__, sql_url, str(own_redis.port)]

    ended = subprocess.run(writer, cwd=ROOT, check=False, timeout=30)
    assert ended.returncode == -9
    assert value_of(database) == 1
    time.sleep(0.2)  # its fence has expired
    cache.put("item:1", "filled by a slow reader", ttl=60)

    wait_until(lambda: cache.get("item:1") is None, seconds=3)


def test_values_of_a_process_cut_off_from_redis_are_removed_by_others(
    database: Database, cut_off: Database, cache: Cache
) -> None:
    change(database, value=1)  # starts its sweeper
    cache.put("item:1", "old", ttl=60)

    change(cut_off, value=2)

    wait_until(lambda: cache.get("item:1") is None, seconds=4)


def test_commits_during_an_outage_are_applied_when_it_ends(
    database: Database, cache: Cache, own_redis: RedisServer
) -> None:
    assert cache.get_or_load("item:1", lambda: value_of(database), HOUR) == 0
    own_redis.kill()

    change(database, value=1)

    assert not last_is_done(database)
    own_redis.start()
    wait_until(lambda: last_is_done(database), seconds=8)
    assert cache.get_or_load("item:1", lambda: value_of(database), HOUR) == 1


def test_a_writer_that_blocks_sql_does_not_delay_the_sweep(
    database: Database, cut_off: Database, cache: Cache
) -> None:
    change(cut_off, value=1)
    cache.put("item:1", "old", ttl=60)

    with database.begin() as tx:
        tx.get_one(Item, 1)  # SQLite has one writer at a time
        invalidations_of(database).mark_done(0)  # writing this has to wait
        wait_until(lambda: cache.get("item:1") is None, seconds=2.5)


class TestCrashThatLosesWrites:
    @pytest.fixture
    def backup(self, own_redis: RedisServer, tmp_path: Path) -> Backup:
        return Backup(own_redis, tmp_path / "older")

    def test_no_reader_sees_a_value_of_an_invalidated_tag(
        self,
        open_database: OpenDatabase,
        database: Database,
        own_redis: RedisServer,
        connect: Connect,
        backup: Backup,
    ) -> None:
        def read(client: RedisClient) -> int:
            load = partial(value_of, database)
            value: int = Cache(client).get_or_load("report", load, HOUR, tags=["items"])
            return value

        assert read(connect(own_redis)) == 0
        backup.save()
        with database.begin() as tx:
            declared = {"cache_keys": [keys.tag("items")]}
            tx.execute(update(Item).values(value=1), execution_options=declared)
        assert read(connect(own_redis)) == 1
        backup.restore()
        assert read(connect(own_redis)) == 0  # the invalidation really is lost

        reader = connect(own_redis)
        open_database(reader)

        assert read(reader) == 1

    def test_no_reader_sees_an_invalidated_value(
        self,
        open_database: OpenDatabase,
        database: Database,
        own_redis: RedisServer,
        connect: Connect,
        backup: Backup,
    ) -> None:
        Cache(connect(own_redis)).get_or_load("item:1", lambda: value_of(database), HOUR)
        backup.save()
        change(database, value=1)
        backup.restore()
        assert connect(own_redis).get("item:1") == "0"  # the invalidation really is lost

        reader = connect(own_redis)
        open_database(reader)

        assert Cache(reader).get_or_load("item:1", lambda: value_of(database), HOUR) == 1

    def test_no_revoked_session_is_valid(
        self,
        database: Database,
        database_client: RedisClient,
        sessions: SessionStore,
        backup: Backup,
    ) -> None:
        kept, revoked = sessions.create(7, {}), sessions.create(7, {})
        backup.save()
        revoke(database, kept.session_id)
        assert sessions.load(revoked.session_id) is None
        backup.restore()

        wait_until(database_client.ping)

        reader = SessionStore(database_client)
        assert reader.load(revoked.session_id) is None
        assert reader.load(kept.session_id) is not None

    def test_without_sql_a_restarted_server_is_not_used(self, cache: Cache) -> None:
        nowhere = f"postgresql+psycopg://portal@127.0.0.1:{free_port()}/postgres"
        database = Database(nowhere, cache=cache)

        with pytest.raises(RedisUnavailable, match="connect hook"):
            cache.client.get("item:1")

        database.close()


class TestRevocation:
    def test_a_commit_ends_sessions_at_once(
        self, database: Database, sessions: SessionStore
    ) -> None:
        session = sessions.create(7, {})

        revoke(database)

        assert sessions.load(session.session_id) is None

    def test_in_an_outage_it_raises_and_is_applied_afterwards(
        self, database: Database, own_redis: RedisServer, sessions: SessionStore
    ) -> None:
        session = sessions.create(7, {})
        time.sleep(1.2)  # it is in the append-only file
        own_redis.kill()

        with pytest.raises(RedisUnavailable):
            revoke(database)

        own_redis.start()
        wait_until(lambda: last_is_done(database), seconds=8)
        wait_until(sessions.client.ping)
        assert sessions.load(session.session_id) is None

    def test_repeating_a_revocation_spares_sessions_of_the_new_epoch(
        self, sessions: SessionStore
    ) -> None:
        older, newer = sessions.create(7, {}), sessions.create(7, {}, auth_epoch=1)

        for _ in range(2):
            sessions.revoke_as(Revocation.of(7, 1))

        assert sessions.load(older.session_id) is None
        assert [each.session_id for each in sessions.list(7)] == [newer.session_id]


class TestRecordThatCannotBeApplied:
    """Redis forbids this user the keys `name:…`, which changes of the item's name touch."""

    ALLOWED = ("~item:*", "~lease:{item:*", "~fence:{item:*", "~cache:*", "&*", "+@all")

    @pytest.fixture
    def narrow(
        self, own_redis: RedisServer, own_client: RedisClient, connect: Connect
    ) -> RedisClient:
        own_client.execute("ACL", "SETUSER", "narrow", "on", ">secret", *self.ALLOWED)
        return connect(own_redis, username="narrow", password="secret")

    @pytest.fixture
    def writer(self, database: Database) -> Database:
        """A database with three records that no process has applied."""
        invalidations_of(database).close()
        past = datetime.now(UTC) - timedelta(seconds=5)
        with database.begin() as tx:
            tx.execute(delete(RECORDS))
            for names in ('["item:1"]', '["name:one"]', '["item:2"]'):
                row = {"keys": names, "revocations": "[]", "created_at": past}
                tx.execute(insert(RECORDS).values(row))
        return database

    def test_it_does_not_delay_the_others(
        self, writer: Database, open_database: OpenDatabase, narrow: RedisClient, cache: Cache
    ) -> None:
        cache.put("item:1", "old", ttl=60)
        allowed, refused, after = record_ids(writer)[-3:]
        sweeping = open_database(narrow)

        invalidations_of(sweeping).sweep()

        assert cache.get("item:1") is None
        wait_until(lambda: rows(writer)[allowed].done_at and rows(writer)[after].done_at)
        assert rows(writer)[refused].done_at is None

    def test_it_is_set_aside_with_the_reason_and_retried(
        self,
        writer: Database,
        open_database: OpenDatabase,
        narrow: RedisClient,
        own_client: RedisClient,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        refused = record_ids(writer)[-2]
        sweeping = invalidations_of(open_database(narrow))

        sweeping.sweep()
        sweeping.sweep()  # it is not due

        record = rows(writer)[refused]
        assert record.failures == 1
        assert "permissions" in record.reason
        assert record.retry_at > datetime.now(UTC)
        assert sweeping.failing == 1
        assert (
            len(
                [line for line in caplog.messages if "1 invalidations in Redis have failed" in line]
            )
            == 1
        )

        own_client.execute("ACL", "SETUSER", "narrow", "~name:*", "~lease:*", "~fence:*")

        wait_until(lambda: rows(writer)[refused].done_at)
        applied = "All invalidations in Redis that had failed are applied"
        wait_until(lambda: applied in caplog.messages)
        assert sweeping.failing == 0

    def test_a_command_lists_it_without_its_identifiers(self, writer: Database) -> None:
        refused = record_ids(writer)[-2]
        invalidations_of(writer).records.mark_failed({refused: "NOPERM"})
        settings = ServiceSettings.load(
            database_url=writer.engine.url.render_as_string(hide_password=False), _env_file=None
        )
        app = create_service(
            "items",
            settings,
            title="Items",
            stores=Stores.connect("items"),
            migrations=ROOT,
        )

        listed = app.test_cli_runner().invoke(args=["db", "failing-invalidations"])

        assert listed.exit_code == 0, listed.output
        assert f"record {refused} of " in listed.output
        assert "name: NOPERM (1 failures, next attempt" in listed.output
        assert "name:one" not in listed.output

    def test_a_restarted_server_is_used_and_the_others_are_repeated(
        self, writer: Database, open_database: OpenDatabase, narrow: RedisClient, cache: Cache
    ) -> None:
        cache.put("item:1", "old", ttl=60)
        cache.client.delete("cache:marker")
        open_database(narrow)

        assert narrow.get("item:1") is None  # the first connection has repeated the records

        refused = record_ids(writer)[-2]
        wait_until(lambda: rows(writer)[refused].failures == 1)
        assert rows(writer)[refused].done_at is None

    def test_nor_do_odd_sessions_under_an_odd_index(
        self, database: Database, database_client: RedisClient, sessions: SessionStore
    ) -> None:
        session = sessions.create(7, {})
        text = str(database_client.get(f"session:{session.session_id}"))
        database_client.set("session:odd", text.replace('"user_data":{}', '"user_data":{"a":NaN}'))
        database_client.set("user:sessions:7", "x")

        revoke(database)

        assert sessions.load(session.session_id) is None
        wait_until(lambda: last_is_done(database))

    def test_an_unexpected_error_sets_aside_one_record(
        self,
        database: Database,
        open_database: OpenDatabase,
        own_redis: RedisServer,
        connect: Connect,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        session_of_7, session_of_8 = (
            SessionStore(connect(own_redis)).create(n, {}) for n in (7, 8)
        )
        invalidations_of(database).close()
        past = datetime.now(UTC) - timedelta(seconds=5)
        with database.begin() as tx:
            for user in (7, 8):
                revocations = f'[{{"user_id":{user},"auth_epoch":1,"spared":""}}]'
                row = {"keys": "[]", "revocations": revocations, "created_at": past}
                tx.execute(insert(RECORDS).values(row))
        revoke_as = SessionStore.revoke_as

        def fail_for_7(store: SessionStore, revocation: Revocation, send: Any = None) -> int:
            if revocation.user_id == 7:
                raise ValueError("odd")
            return revoke_as(store, revocation, send)

        monkeypatch.setattr(SessionStore, "revoke_as", fail_for_7)
        client = connect(own_redis)
        client.delete("cache:marker")
        client.reconnect()
        open_database(client)

        assert client.ping()  # its connect hook has repeated the records
        loaded = SessionStore(client)
        assert loaded.load(session_of_8.session_id) is None
        assert loaded.load(session_of_7.session_id) is not None
        wait_until(lambda: [row.reason for row in records(database)][-2:] == ["odd", None])
        client.reconnect()
        client.ping()
        assert client.get("cache:marker") is not None

    def test_nor_does_one_of_another_release(
        self, database: Database, database_client: RedisClient, cache: Cache
    ) -> None:
        past = datetime.now(UTC) - timedelta(minutes=5)
        row = {"revocations": '[{"user_id":7,"whom":1}]', "created_at": past}
        with database.begin() as tx:
            tx.execute(insert(RECORDS).values([row | {"keys": "[]"}, row | {"keys": "{"}]))
            good = row | {"keys": '["item:1"]', "revocations": "[]"}
            tx.execute(insert(RECORDS).values(good))
        cache.put("item:1", "old", ttl=60)

        invalidations_of(database).sweep()

        assert database_client.get("item:1") is None
        assert {each.reason for each in records(database) if each.failures} == {
            "written by another release"
        }


def test_sweeps_after_an_outage_are_logged_in_one_line(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    past = datetime.now(UTC) - timedelta(minutes=5)
    caplog.set_level("INFO")
    invalidations_of(database).close()  # no other thread sweeps

    for number in range(3):
        row = {"revocations": "[]", "created_at": past, "keys": f'["item:{number}"]'}
        with database.begin() as tx:
            tx.execute(insert(RECORDS).values(row))
        invalidations_of(database).sweep()

    assert [line for line in caplog.messages if line.startswith("Applied")] == [
        "Applied 1 invalidations that had not reached Redis"
    ]


def test_a_marker_of_another_type_is_replaced(
    database: Database,
    cache: Cache,
    open_database: OpenDatabase,
    connect: Connect,
    own_redis: RedisServer,
) -> None:
    change(database, value=1)
    cache.client.delete("cache:marker")
    cache.client.hset("cache:marker", "a", "b")
    cache.put("item:1", "old", ttl=60)
    client = connect(own_redis)
    open_database(client)

    assert client.get("item:1") is None
    assert client.get("cache:marker") is not None


def test_a_lost_marker_is_set_again_so_that_records_can_be_purged(
    database: Database, cache: Cache, database_client: RedisClient
) -> None:
    change(database, value=1)
    cache.client.delete("cache:marker")
    cache.client.hset("cache:marker", "a", "b")

    invalidations_of(database).purge()

    database_client.ping()
    assert cache.client.get("cache:marker") is not None


class TestManyRecords:
    """As after a longer outage: more than one sweep takes."""

    @pytest.fixture
    def pending(self, database: Database) -> Database:
        invalidations_of(database).close()
        past = datetime.now(UTC) - timedelta(seconds=5)
        row = {"keys": '["item:1"]', "revocations": "[]", "created_at": past}
        with database.begin() as tx:
            tx.execute(delete(RECORDS))
            tx.execute(insert(RECORDS), [row] * 1200)
        return database

    def test_all_of_them_are_applied_and_marked(
        self,
        pending: Database,
        open_database: OpenDatabase,
        connect: Connect,
        own_redis: RedisServer,
    ) -> None:
        client = connect(own_redis)
        invalidations = invalidations_of(open_database(client))
        assert client.ping()

        wait_until(lambda: all(record.done_at for record in records(pending)), seconds=10)

        invalidations.close()  # its thread ends

    def test_a_restart_is_handled_with_few_commands(
        self,
        pending: Database,
        open_database: OpenDatabase,
        connect: Connect,
        own_redis: RedisServer,
    ) -> None:
        client = connect(own_redis)
        invalidations_of(open_database(client)).close()
        assert len(records(pending)) == 1200
        client.delete("cache:marker")
        client.execute("CONFIG", "RESETSTAT")
        client.reconnect()

        assert client.ping()

        stats = client.execute("INFO", "commandstats")
        assert stats["cmdstat_eval"]["calls"] < 30


class TestRecordsOnTwoServers:
    """The cache and the sessions have servers of their own. Each gets only what is its own."""

    def test_a_restart_of_either_repeats_its_own_part(
        self,
        sql_url: str,
        database: Database,
        own_client: RedisClient,
        connect: Connect,
        redis_server: RedisServer,
    ) -> None:
        session_client = connect(redis_server)
        apart = Database(sql_url, cache=Cache(own_client), sessions=SessionStore(session_client))
        with apart.begin() as tx:
            tx.get_one(Item, 1).value = 5
            revoke_sessions(tx, Revocation.of(7, 1))
        for client, marker in ((own_client, "cache:marker"), (session_client, "sessions:marker")):
            client.set("item:1", "old")
            client.delete("user:auth_epoch:7", marker)
            client.reconnect()
            client.ping()

        assert own_client.get("item:1") is None
        assert own_client.exists("user:auth_epoch:7") == 0
        assert session_client.get("item:1") == "old"
        assert session_client.get("user:auth_epoch:7") == "1"
        assert [row.failures for row in records(database)] == [0] * len(records(database))
        apart.close()


def test_a_lost_marker_does_not_cut_connections_in_use(
    database: Database, database_client: RedisClient
) -> None:
    change(database, value=1)
    stop = threading.Event()
    errors: list[Exception] = []

    def work() -> None:
        while not stop.is_set():
            try:
                database_client.get("item:1")
            except RedisUnavailable as error:
                errors.append(error)

    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(work)
        for _ in range(5):
            database_client.delete("cache:marker")
            invalidations_of(database).purge()
            time.sleep(0.05)
        stop.set()

    assert errors == []


class TestPurge:
    @pytest.fixture
    def old(self, database: Database) -> int:
        """A record that was done five minutes ago."""
        past = datetime.now(UTC) - timedelta(minutes=5)
        row = {"keys": "[]", "revocations": "[]", "created_at": past, "done_at": past}
        with database.begin() as tx:
            record_id: int = tx.scalars(insert(RECORDS).values(row).returning(RECORDS.c.id)).one()
        return record_id

    def test_old_records_that_are_done_are_deleted(self, database: Database, old: int) -> None:
        change(database, value=1)
        recent = record_ids(database)[-1]

        invalidations_of(database).purge()

        assert old not in record_ids(database)
        assert recent in record_ids(database)

    def test_nothing_is_deleted_while_redis_may_have_lost_it(
        self, database: Database, own_client: RedisClient, old: int
    ) -> None:
        change(database, value=1)  # it is connected from now on
        own_client.set("cache:marker", "another server")

        invalidations_of(database).purge()

        assert old in record_ids(database)

    def test_nothing_is_deleted_while_the_server_of_the_sessions_may_have_lost_it(
        self,
        sql_url: str,
        database: Database,
        old: int,
        own_client: RedisClient,
        connect: Connect,
        redis_server: RedisServer,
    ) -> None:
        session_client = connect(redis_server)
        apart = Database(sql_url, cache=Cache(own_client), sessions=SessionStore(session_client))
        change(apart, value=1)
        session_client.set("sessions:marker", "another server")

        invalidations_of(apart).purge()

        assert old in record_ids(database)
        apart.close()

    def test_pending_records_are_kept_however_old(
        self, database: Database, own_redis: RedisServer
    ) -> None:
        own_redis.kill()
        change(database, value=1)
        pending = record_ids(database)[-1]
        with database.begin() as tx:
            tx.execute(update(RECORDS).values(created_at=datetime.now(UTC) - timedelta(days=9)))

        with pytest.raises(RedisUnavailable):
            invalidations_of(database).purge()

        assert pending in record_ids(database)
