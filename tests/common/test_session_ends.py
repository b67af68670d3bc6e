"""An ended session stays ended, although the server that has ended it loses that."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import redis

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisUnavailable,
    Session,
    SessionStore,
    keys,
)
from common.pyportal_common.cache_handlers.sessions import ended as module
from common.pyportal_common.cache_handlers.sessions.ended import EndedSessions
from common.pyportal_common.redis_server import RedisServer

from .backups import Backup
from .load import Connect, start
from .test_failover import Pair
from .waiting import wait_until

SECONDS = 30  # for what takes less than one, on an idle machine


def revoke(store: SessionStore, session: Session) -> None:
    assert store.revoke(session.session_id)


def supersede(store: SessionStore, session: Session) -> None:
    assert store.supersede(session.session_id)


def revoke_all(store: SessionStore, _: Session) -> None:
    assert store.revoke_all(7, auth_epoch=1) == 1


END = pytest.mark.parametrize("end", [revoke, supersede, SessionStore.rotate, revoke_all])


def kept_by(store: SessionStore) -> int:
    """How many ended sessions the process of this store keeps."""
    return len(store.client.companions.of(EndedSessions))


def follow(store: SessionStore, number: int) -> None:
    """Wait until the process has received so many ends."""
    wait_until(lambda: kept_by(store) == number, seconds=SECONDS)


def is_valid(store: SessionStore, session: Session) -> bool:
    """Whether a process accepts the session, as soon as it can use Redis."""
    found: list[Session | None] = []

    def load() -> bool:
        with suppress(RedisUnavailable):
            found.append(store.load(session.session_id))
        return bool(found)

    wait_until(load, seconds=SECONDS)
    return found[0] is not None


def is_available(store: SessionStore) -> bool:
    """Whether a process can read sessions."""
    try:
        store.load("nothing")
    except RedisUnavailable:
        return False
    return True


@pytest.fixture
def backup(own_redis: RedisServer, tmp_path: Path) -> Backup:
    return Backup(own_redis, tmp_path / "older")


@pytest.fixture
def store(own_client: RedisClient) -> SessionStore:
    """The sessions of the process that ends some."""
    return SessionStore(own_client)


@pytest.fixture
def other(own_redis: RedisServer, connect: Connect) -> SessionStore:
    """The sessions of another process, which uses Redis already."""
    store = SessionStore(connect(own_redis))
    assert store.load("nothing") is None
    return store


class TestCrashThatLosesWrites:
    @END
    def test_no_process_accepts_the_session(
        self,
        end: Callable[[SessionStore, Session], object],
        store: SessionStore,
        other: SessionStore,
        backup: Backup,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        session, kept = store.create(7, {}), store.create(8, {})
        backup.save()
        end(store, session)
        follow(other, 1)

        backup.restore()

        assert not is_valid(other, session)
        assert not is_valid(store, session)
        assert is_valid(other, kept)
        assert "had lost ends of sessions: 1 have" in caplog.text
        assert session.session_id not in caplog.text

    def test_the_process_that_ended_it_may_be_gone(
        self, store: SessionStore, other: SessionStore, backup: Backup
    ) -> None:
        session = store.create(7, {})
        backup.save()
        store.revoke(session.session_id)
        store.client.close()
        follow(other, 1)

        backup.restore()

        assert not is_valid(other, session)

    def test_it_ends_again_without_any_request(
        self, store: SessionStore, other: SessionStore, backup: Backup, own_redis: RedisServer
    ) -> None:
        session = store.create(7, {})
        backup.save()
        store.revoke(session.session_id)
        follow(other, 1)

        backup.restore()

        with closing(redis.Redis(port=own_redis.port)) as newcomer:  # knows of no ends
            key = keys.session(session.session_id)
            wait_until(lambda: not newcomer.exists(key), seconds=SECONDS)

    def test_a_process_that_starts_after_the_end_receives_it(
        self, store: SessionStore, backup: Backup, own_redis: RedisServer, connect: Connect
    ) -> None:
        session = store.create(7, {})
        backup.save()
        store.revoke(session.session_id)
        store.client.close()
        newcomer = SessionStore(connect(own_redis))
        assert newcomer.load("nothing") is None
        follow(newcomer, 1)

        backup.restore()

        assert not is_valid(newcomer, session)

    def test_an_outage_may_be_longer_than_ends_are_kept(
        self,
        store: SessionStore,
        other: SessionStore,
        backup: Backup,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        session = store.create(7, {})
        backup.save()
        store.revoke(session.session_id)
        follow(other, 1)
        monkeypatch.setattr(module, "_KEPT_SECONDS", 0.0)

        backup.restore()

        assert not is_valid(other, session)

    def test_many_ends_are_repeated_in_parts(
        self, store: SessionStore, other: SessionStore, backup: Backup
    ) -> None:
        sessions = [store.create(number, {}) for number in range(1200)]
        backup.save()
        for session in sessions:
            store.revoke(session.session_id)
        follow(other, 1200)

        backup.restore()

        assert not any(is_valid(other, session) for session in sessions)


def test_a_replica_that_has_not_received_the_end_repeats_it(
    start_redis: Callable[..., RedisServer], connect: Connect
) -> None:
    pair = Pair(start_redis)
    store, other = (SessionStore(connect(pair.relay)) for _ in range(2))
    session = store.create(7, {})
    assert other.load(session.session_id) is not None
    key = keys.session(session.session_id)
    wait_until(lambda: pair.value_in_new(key) is not None, seconds=SECONDS)
    pair.promote()  # from now on it receives nothing
    store.revoke(session.session_id)
    follow(other, 1)
    assert pair.value_in_new(key) is not None  # the end really is lost

    pair.old.kill()
    pair.let_through()

    assert not is_valid(other, session)
    assert not is_valid(store, session)
    pair.relay.close()


def test_a_master_that_becomes_a_replica_and_loses_the_end_is_not_used(
    start_redis: Callable[..., RedisServer], connect: Connect
) -> None:
    """It keeps the connections of its clients."""
    pair = Pair(start_redis)
    store, other = (SessionStore(connect(pair.relay)) for _ in range(2))
    session = store.create(7, {})
    assert other.load(session.session_id) is not None
    key = keys.session(session.session_id)
    wait_until(lambda: pair.value_in_new(key) is not None, seconds=SECONDS)
    pair.promote()
    store.revoke(session.session_id)
    follow(other, 1)

    pair.demote()

    with closing(redis.Redis(port=pair.old.port)) as old:
        wait_until(lambda: old.exists(key), seconds=SECONDS)
        wait_until(lambda: not is_available(other), seconds=SECONDS)
        for _ in range(50):
            assert not is_available(other)
        assert old.exists(key)
        old.replicaof("NO", "ONE")
    assert not is_valid(other, session)
    pair.relay.close()


class TestKept:
    def test_ends_are_forgotten_after_a_while(
        self, store: SessionStore, other: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = store.create(7, {}), store.create(7, {})
        store.revoke(first.session_id)
        follow(other, 1)

        monkeypatch.setattr(module, "_KEPT_SECONDS", 0.0)
        store.revoke(second.session_id)  # a reply is what makes a process look

        follow(other, 0)

    def test_the_last_ones_are_kept_if_there_are_too_many(
        self, store: SessionStore, other: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_MAX_ENDS", 2)
        sessions = [store.create(7, {}) for _ in range(5)]
        for session in sessions:
            store.revoke(session.session_id)

        wait_until(lambda: kept_by(other) == 2, seconds=SECONDS)
        assert kept_by(store) == 2

    def test_a_later_session_with_the_same_id_is_another_one(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        store.create(7, {}, session_id="chosen")
        store.revoke("chosen")
        follow(other, 1)
        later = store.create(7, {}, session_id="chosen")

        other.client.reconnect()
        assert other.load("chosen") == later

    def test_a_process_stops_with_its_client_and_starts_again_with_it(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        def following() -> int:
            return str(store.client.execute("CLIENT", "LIST")).count("xread")

        wait_until(lambda: following() == 2, seconds=SECONDS)
        other.client.close()
        wait_until(lambda: following() == 1, seconds=SECONDS)

        other.load("nothing")
        session = store.create(7, {})
        store.revoke(session.session_id)

        follow(other, 1)


class TestServersThatRefuse:
    def test_with_full_memory_an_end_reaches_the_others(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        session = store.create(7, {})
        store.client.execute("CONFIG", "SET", "maxmemory", "1")

        assert store.revoke(session.session_id)

        follow(other, 1)

    def test_without_the_permission_sessions_end_all_the_same(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        with closing(redis.Redis(port=own_redis.port)) as admin:
            rules = "~* +@all -xadd -xread"
            admin.execute_command("ACL SETUSER", "default", *rules.split())
        store = SessionStore(connect(own_redis))
        session = store.create(7, {})

        assert store.revoke(session.session_id)
        assert store.load(session.session_id) is None

    def test_an_odd_entry_of_the_stream_is_skipped(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        store.client.execute("XADD", keys.ENDED_SESSIONS, "*", "odd", "entry")
        session = store.create(7, {})

        assert store.revoke(session.session_id)

        follow(other, 1)

    def test_an_odd_value_in_place_of_the_stream_gives_way(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        store.client.set(keys.ENDED_SESSIONS, "odd")
        session = store.create(7, {})

        assert store.revoke(session.session_id)

        follow(other, 1)


class Process:
    """A process that uses sessions: see session_user.py."""

    def __init__(self, port: int, *words: str) -> None:
        self._process = start("session_user", port, *words)

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def stop(self) -> str:
        """Ask the process to end; its last line."""
        self._process.terminate()
        return self.line()

    def kill(self) -> None:
        with self._process:
            self._process.kill()


@pytest.fixture
def run(own_redis: RedisServer) -> Iterator[Callable[..., Process]]:
    """Starts processes of session_user.py."""
    started: list[Process] = []

    def run(*words: str) -> Process:
        started.append(Process(own_redis.port, *words))
        return started[-1]

    yield run
    for process in started:
        process.kill()


@pytest.mark.slow
def test_under_load_no_request_finds_a_session_that_a_killed_process_has_ended(
    run: Callable[..., Process], store: SessionStore, backup: Backup
) -> None:
    session = store.create(7, {}, session_id="chosen")
    backup.save()
    users = [run("use", session.session_id) for _ in range(2)]
    assert [user.line() for user in users] == ["valid", "valid"]
    ender = run("end", session.session_id)
    assert ender.line() == "ended"
    assert [user.line() for user in users] == ["ended", "ended"]

    ender.kill()
    backup.restore()

    store.client.close()
    assert [user.line() for user in users] == ["used again", "used again"]
    assert [user.stop() for user in users] == ["found 0 times", "found 0 times"]


class TestOddStreams:
    """Whoever may write to the stream may write anything."""

    @pytest.fixture(autouse=True)
    def _short_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_BLOCK_SECONDS", 0.1)

    def test_ends_are_known_after_the_clock_was_set_back(
        self, store: SessionStore, other: SessionStore
    ) -> None:
        """The ids of new entries are before those of a stream that has expired."""
        add(store, "9999999999999-0", key="session:of-the-future", times="")
        follow(other, 1)
        store.client.delete(keys.ENDED_SESSIONS)

        revoke(store, store.create(7, {}))

        follow(other, 2)

    @pytest.mark.parametrize("last", ["18446744073709551615-18446744073709551615"])
    def test_ends_are_recorded_though_the_ids_were_used_up(
        self, store: SessionStore, other: SessionStore, last: str
    ) -> None:
        add(store, last, key="session:last", times="")
        follow(other, 1)

        revoke(store, store.create(7, {}))

        follow(other, 2)

    def test_a_large_entry_is_not_kept(self, store: SessionStore, other: SessionStore) -> None:
        add(store, "*", key="session:" + "x" * 100_000, times="")

        revoke(store, store.create(7, {}))

        follow(other, 1)


def add(store: SessionStore, entry_id: str, **fields: str) -> None:
    words = (word for pair in fields.items() for word in pair)
    store.client.execute("XADD", keys.ENDED_SESSIONS, entry_id, *words)
