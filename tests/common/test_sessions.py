"""Sessions, on every kind of server."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisUnavailable,
    Session,
    SessionChanged,
    SessionExists,
    SessionGone,
    SessionRevoked,
    SessionStore,
    get_session_client,
)
from common.pyportal_common.redis_server import RedisServer

from .load import Connect

JOHN = {"username": "john_doe", "role": "user", "tags": [], "inner": {}}

Use = Callable[[SessionStore, Session], object]


@pytest.fixture
def store(client: RedisClient) -> SessionStore:
    return SessionStore(client)


def loaded(store: SessionStore, session_id: str, *, touch: bool = True) -> Session:
    session = store.load(session_id, touch=touch)
    assert session is not None
    return session


def index_of(store: SessionStore, user_id: int) -> set[str]:
    return set(store.client.execute("ZRANGE", f"user:sessions:{user_id}", 0, -1))


def ms_left(store: SessionStore, key: str) -> int:
    return int(store.client.execute("PTTL", key))


class TestCreate:
    def test_a_session_can_be_loaded(self, store: SessionStore) -> None:
        created = store.create(123, JOHN)

        found = loaded(store, created.session_id)

        assert found == created
        assert (found.user_id, found.user_data, found.revision) == (123, JOHN, 1)

    def test_it_is_stored_as_json_with_user_and_data(self, store: SessionStore) -> None:
        session = store.create(123, JOHN, session_id="sess_abc123")

        document = store.client.get_json("session:sess_abc123")

        assert document["user_id"] == 123
        assert document["user_data"] == JOHN
        assert document["created_at"] == document["auth_at"]
        assert document["expires_at"] - document["created_at"] == 12 * 3600 * 1000
        assert 3599_000 < ms_left(store, "session:sess_abc123") <= 3600_000
        assert index_of(store, 123) == {"sess_abc123"}
        assert abs(session.created_at - datetime.now(UTC)) < timedelta(seconds=10)

    def test_ids_are_random(self, store: SessionStore) -> None:
        ids = {store.create(123, {}).session_id for _ in range(50)}

        assert len(ids) == 50
        assert {len(session_id) for session_id in ids} == {43}

    def test_a_taken_id_is_refused_unless_it_may_be_replaced(self, store: SessionStore) -> None:
        store.create(123, JOHN, session_id="sess")

        with pytest.raises(SessionExists):
            store.create(666, {}, session_id="sess")

        replaced = store.create(124, {}, session_id="sess", replace_existing=True)
        assert store.load("sess") == replaced

    def test_the_idle_time_never_exceeds_the_absolute_one(self, client: RedisClient) -> None:
        store = SessionStore(client, idle_seconds=3600, absolute_seconds=60)

        session = store.create(123, {})

        assert session.ttl_seconds == 60
        assert ms_left(store, f"session:{session.session_id}") <= 60_000

    @pytest.mark.parametrize("session_id", ["a{b}", "a:b", "a b", "x" * 500, "a%00b", "\x00"])
    def test_unusual_ids_work(self, store: SessionStore, session_id: str) -> None:
        store.create(123, {"n": 1}, session_id=session_id)

        found = loaded(store, session_id)

        assert found.user_data == {"n": 1}
        assert store.revoke(session_id) is True
        assert list(store.client.scan("session:*")) == []
        assert index_of(store, 123) == set()

    def test_data_that_scripts_cannot_decode_is_refused(self, store: SessionStore) -> None:
        with pytest.raises(ValueError, match="surrogates"):
            store.create(123, {"name": "\ud800"})
        with pytest.raises(ValueError, match="surrogates"):
            store.create(123, JOHN, origin={"device": "\ud800"})

    @pytest.mark.parametrize("part", ["john", "a device", "pwd"])
    def test_a_text_that_cannot_be_encoded_is_no_session(
        self, store: SessionStore, part: str
    ) -> None:
        store.create(
            123, {"name": "john"}, session_id="sess",
            origin={"device": "a device"}, factors={"pwd": None},
        )  # fmt: skip
        text = str(store.client.get("session:sess"))

        store.client.set("session:sess", text.replace(part, "\\ud800"), ttl=60)
        assert store.load("sess") is None
        store.client.set("session:sess", text.replace(part, "\\ud83d\\ude82"), ttl=60)
        assert store.load("sess") is not None


class TestLoad:
    def test_a_missing_session_is_none(self, store: SessionStore) -> None:
        assert store.load("nothing") is None

    @pytest.mark.parametrize("text", ["not json", "[]", "7", '{"user_id":1}', '"x"'])
    def test_another_value_is_none(self, store: SessionStore, text: str) -> None:
        store.client.set("session:odd", text)

        assert store.load("odd") is None
        assert store.refresh("odd") is None

    def test_loading_resets_the_idle_timeout(self, store: SessionStore) -> None:
        session = store.create(123, JOHN)
        key = f"session:{session.session_id}"
        store.client.execute("PEXPIRE", key, 1000)

        seen = loaded(store, session.session_id, touch=False)
        assert seen.ttl_seconds <= 1
        touched = loaded(store, session.session_id)

        assert touched.ttl_seconds == 3600
        assert ms_left(store, key) > 3599_000

    def test_uses_within_a_minute_touch_the_session_once(self, redis_client: RedisClient) -> None:
        store = SessionStore(redis_client)
        session = store.create(123, JOHN)
        redis_client.expire(f"session:{session.session_id}", 10)
        redis_client.execute("CONFIG", "RESETSTAT")

        for _ in range(10):
            assert loaded(store, session.session_id).ttl_seconds == 3600

        assert redis_client.execute("INFO", "commandstats")["cmdstat_pexpire"]["calls"] == 1

    @pytest.mark.parametrize(
        ("left_ms", "is_touched"), [(3_600_500, False), (3_659_900, False), (3_599_000, True)]
    )
    def test_a_used_session_never_ends_before_its_idle_timeout(
        self, store: SessionStore, left_ms: int, is_touched: bool
    ) -> None:
        """It may end a sixtieth of it later, at most a minute."""
        session = store.create(123, JOHN)
        key = f"session:{session.session_id}"
        store.client.execute("PEXPIRE", key, left_ms)

        seen = loaded(store, session.session_id)

        assert seen.ttl_seconds == 3600
        assert 3_600_000 - 100 < ms_left(store, key) <= 3_660_000
        assert (ms_left(store, key) > left_ms) is is_touched

    @pytest.mark.parametrize(("idle", "most"), [(6, 6.1), (86_400 / 3, 86_400 / 3 + 60)])
    def test_a_touch_adds_a_sixtieth_and_at_most_a_minute(
        self, store: SessionStore, idle: float, most: float
    ) -> None:
        session = store.create(123, JOHN, idle_seconds=idle)
        store.client.execute("PEXPIRE", f"session:{session.session_id}", 1000)

        assert loaded(store, session.session_id).ttl_seconds == idle

        left = ms_left(store, f"session:{session.session_id}")
        assert (idle + most) / 2 * 1000 < left <= most * 1000

    def test_a_change_of_loaded_data_changes_no_other_request(self, store: SessionStore) -> None:
        session_id = store.create(123, {"tags": [{"a": 1}], "inner": {}}).session_id

        data = loaded(store, session_id).user_data
        data["inner"]["role"] = data["tags"][0]["a"] = "admin"
        data["role"] = "admin"

        assert loaded(store, session_id).user_data == {"tags": [{"a": 1}], "inner": {}}

    def test_loading_never_shortens_the_time_to_live(self, store: SessionStore) -> None:
        session = store.create(123, JOHN)
        store.refresh(session.session_id, 7200)

        store.load(session.session_id)

        assert ms_left(store, f"session:{session.session_id}") > 7100_000

    def test_no_use_extends_the_absolute_timeout(self, client: RedisClient) -> None:
        store = SessionStore(client, idle_seconds=60, absolute_seconds=0.4)
        session = store.create(123, JOHN)

        assert store.load(session.session_id) is not None
        left = store.refresh(session.session_id, 3600)
        assert left is not None
        assert left <= 0.4

        time.sleep(0.45)
        assert store.load(session.session_id) is None
        assert store.refresh(session.session_id) is None

    def test_a_session_after_its_absolute_timeout_is_invalid_although_its_key_exists(
        self, store: SessionStore
    ) -> None:
        """As after a clock that was set forward, or a PERSIST by hand."""
        session = store.create(123, JOHN)
        key = f"session:{session.session_id}"
        document = store.client.get_json(key)
        store.client.set_json(key, {**document, "expires_at": document["created_at"] - 1})

        assert store.load(session.session_id) is None
        assert store.client.exists(key) == 0


class TestSave:
    def test_a_saved_change_is_loaded(self, store: SessionStore) -> None:
        session = store.create(123, JOHN)
        store.client.execute("PEXPIRE", f"session:{session.session_id}", 60_000)

        saved = store.save(session.with_data(theme="dark"))

        found = loaded(store, session.session_id, touch=False)
        assert found.user_data == {**JOHN, "theme": "dark"}
        assert found.revision == saved.revision == 2
        assert found.expires_at == session.expires_at
        assert found.ttl_seconds <= 60

    def test_saving_keeps_the_times(self, store: SessionStore) -> None:
        first = store.create(123, {})
        time.sleep(0.01)
        session = store.rotate(first)

        store.save(session)

        found = loaded(store, session.session_id)
        assert (found.created_at, found.auth_at) == (first.created_at, session.auth_at)
        assert found.created_at < found.auth_at
        assert found.expires_at == session.expires_at


class TestRotate:
    def test_the_session_continues_only_under_the_new_id(self, store: SessionStore) -> None:
        old = store.create(123, JOHN)
        store.client.execute("PEXPIRE", f"session:{old.session_id}", 60_000)
        time.sleep(0.01)

        new = store.rotate(old)

        assert store.load(old.session_id) is None
        assert store.load(new.session_id) == new
        assert new.user_data == JOHN
        assert new.created_at == old.created_at
        assert new.auth_at > old.auth_at
        assert new.expires_at > old.expires_at
        assert index_of(store, 123) == {new.session_id}


def save(store: SessionStore, session: Session) -> None:
    store.save(session.with_data(a=1))


def revoke(store: SessionStore, session: Session) -> None:
    store.revoke(session.session_id)


@pytest.mark.parametrize(
    ("earlier", "later", "error"),
    [
        (save, save, SessionChanged),
        (save, SessionStore.rotate, SessionChanged),
        (revoke, save, SessionGone),
        (SessionStore.rotate, SessionStore.rotate, SessionGone),
    ],
)
def test_a_change_to_an_outdated_session_is_refused(
    store: SessionStore, earlier: Use, later: Use, error: type[Exception]
) -> None:
    session = store.create(123, {})
    earlier(store, session)
    before = [(one.session_id, one.revision, one.user_data) for one in store.list(123)]

    with pytest.raises(error):
        later(store, session)

    after = [(one.session_id, one.revision, one.user_data) for one in store.list(123)]
    assert after == before


class TestRevoke:
    def test_a_revoked_session_is_removed_from_the_index(self, store: SessionStore) -> None:
        session = store.create(123, JOHN)

        assert store.revoke(session.session_id) is True
        assert store.revoke(session.session_id) is False
        assert store.load(session.session_id) is None
        assert index_of(store, 123) == set()

    def test_a_session_has_ended_even_if_it_stays_in_the_index(
        self, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = store.create(123, JOHN)
        run = store.client.run

        def run_one(*command: Any) -> object:
            if command[1][1] == "user:sessions:123":
                raise RedisUnavailable("made for this test")
            return run(*command)

        with monkeypatch.context() as patch:
            patch.setattr(store.client, "run", run_one)
            assert store.revoke(session.session_id) is True

        assert store.load(session.session_id) is None
        assert store.list(123) == []

    def test_a_superseded_session_has_ended_and_says_so_for_a_minute(
        self, store: SessionStore
    ) -> None:
        session, other = store.create(7, {}), store.create(7, {})

        assert store.supersede(session.session_id) is True

        assert store.load(session.session_id) is None
        assert [each.session_id for each in store.list(7)] == [other.session_id]
        assert store.is_superseded(session.session_id)
        assert not store.is_superseded(other.session_id)
        assert 0 < ms_left(store, f"session:{session.session_id}") <= 60_000
        with pytest.raises(SessionGone):
            store.save(session)
        assert store.supersede(session.session_id) is False
        assert store.supersede("unknown") is False
        assert not store.is_superseded("unknown")

    def test_revoke_all_ends_only_the_sessions_of_the_user(self, store: SessionStore) -> None:
        mine = [store.create(123, {}) for _ in range(3)]
        spared = store.create(123, {})
        other = store.create(124, {})

        ended = store.revoke_all(123, auth_epoch=1, spare=spared.session_id)

        assert ended == 3
        assert [store.load(session.session_id) for session in mine] == [None] * 3
        assert store.load(spared.session_id) is not None
        assert store.load(other.session_id) is not None

    def test_a_login_with_an_older_epoch_is_refused(self, store: SessionStore) -> None:
        store.revoke_all(123, auth_epoch=5)
        store.revoke_all(123, auth_epoch=3)  # does not replace the later one

        with pytest.raises(SessionRevoked):
            store.create(123, {}, auth_epoch=4)

        assert store.create(123, {}, auth_epoch=5).auth_epoch == 5
        assert store.load(store.create(123, {}, auth_epoch=None).session_id) is not None

    def test_a_rotation_with_an_older_epoch_is_refused(self, store: SessionStore) -> None:
        session = store.create(123, {}, auth_epoch=0)
        store.revoke_all(123, auth_epoch=1, spare=session.session_id)

        with pytest.raises(SessionRevoked):
            store.rotate(session)

        assert store.rotate(session, auth_epoch=1).auth_epoch == 1

    def test_a_user_id_is_the_same_as_number_and_as_text(self, store: SessionStore) -> None:
        session = store.create(123, {})

        assert store.revoke_all("123", auth_epoch=1) == 1
        assert store.load(session.session_id) is None

    def test_a_session_id_of_another_user_is_not_revoked(self, store: SessionStore) -> None:
        store.create(123, {}, session_id="chosen")
        store.create(124, {}, session_id="chosen", replace_existing=True)

        assert store.list(123) == []
        assert store.revoke_all(123, auth_epoch=1) == 0
        assert store.load("chosen") is not None


class TestList:
    def test_it_returns_the_current_sessions(self, store: SessionStore) -> None:
        sessions = [store.create(123, {"n": n}) for n in range(3)]
        store.create(124, {})
        store.client.execute("DEL", f"session:{sessions[1].session_id}")

        listed = store.list(123)

        kept = {session.session_id for session in (sessions[0], sessions[2])}
        assert {session.session_id for session in listed} == kept
        assert index_of(store, 123) == kept

    def test_a_public_id_does_not_reveal_the_session_id(self, store: SessionStore) -> None:
        session = store.create(123, {})

        assert len(session.public_id) == 16
        assert session.public_id not in session.session_id
        assert store.load(session.public_id) is None

    def test_the_index_ends_with_its_last_session(self, client: RedisClient) -> None:
        store = SessionStore(client, idle_seconds=1, absolute_seconds=2)
        store.create(123, {})

        assert 0 < ms_left(store, "user:sessions:123") <= 2000


class TestSessionClient:
    def test_sessions_of_all_services_are_in_database_0(
        self, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_URL", f"{redis_server.url}/2")

        SessionStore(get_session_client()).create(123, {}, session_id="sess")

        assert get_session_client().exists("session:sess") == 1
        monkeypatch.setenv("SESSION_REDIS_DB", "3")
        assert get_session_client().exists("session:sess") == 0

    def test_sessions_may_have_a_separate_server(
        self, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
        monkeypatch.setenv("SESSION_REDIS_URL", f"{redis_server.url}/4")

        SessionStore(get_session_client()).create(123, {}, session_id="sess")

        monkeypatch.delenv("SESSION_REDIS_URL")
        monkeypatch.setenv("REDIS_URL", redis_server.url)
        monkeypatch.setenv("SESSION_REDIS_DB", "4")
        assert get_session_client().exists("session:sess") == 1


def test_a_session_survives_sigkill_and_restart(
    start_redis: Callable[..., RedisServer], connect: Connect
) -> None:
    server = start_redis(appendfsync="always")
    store = SessionStore(connect(server))
    session = store.create(123, JOHN)
    server.kill()
    server.start()

    assert store.load(session.session_id) is not None


def test_documents_are_not_changed_by_passing_through_scripts(store: SessionStore) -> None:
    """cjson turns [] into {} and large numbers into others."""
    data = {"empty": [], "nothing": {}, "big": 1234567890123456789, "ratio": 0.1, "é": "🛫"}
    session = store.save(store.create(2**53 + 1, data).with_data(more=1))
    rotated = store.rotate(session)

    found = loaded(store, rotated.session_id)

    assert found.user_id == 2**53 + 1
    assert found.user_data == {**data, "more": 1}
    assert store.client.get_json(f"session:{rotated.session_id}")["user_data"]["empty"] == []
