"""Sessions beside odd values: no session is forgotten, and what cannot be read is no session."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from common.pyportal_common.cache_handlers import (
    Admission,
    Charge,
    Limiter,
    RateLimit,
    RedisClient,
    Revocation,
    SessionExists,
    SessionGone,
    SessionStore,
)

from .conftest import ON_SERVERS

OTHER_TYPES = [("SET", "x"), ("HSET", "a", "b"), ("RPUSH", "x"), ("SADD", "x")]
ODD_TEXTS: list[str | bytes] = [
    "",
    "not json",
    "[]",
    "7",
    "null",
    '{"a":1}',
    b"\xff\xfe",
    "[" * 100_000,
    '{"user_id":7,',
    '{"user_id":7,"expires_at":99999999999999}',
]
WRONG_FIELDS: list[tuple[str, Any]] = [
    ("user_id", None),
    ("user_id", ""),
    ("user_id", [7]),
    ("user_id", 7.5),
    ("user_id", 10**30),
    ("user_id", True),
    ("user_data", []),
    ("user_data", None),
    ("revision", "1"),
    ("auth_epoch", {}),
    ("auth_epoch", -1),
    ("idle_ms", 0),
    ("idle_ms", None),
    ("idle_ms", 1e300),
    ("expires_at", "soon"),
    ("expires_at", 1e300),
    ("created_at", None),
    ("created_at", 10**15),  # after the year 9999
    ("auth_at", [1]),
]

Command = tuple[str, ...]


@pytest.fixture
def store(client: RedisClient) -> SessionStore:
    return SessionStore(client)


def plant(client: RedisClient, key: str, command: Command) -> None:
    """Replace what a key holds."""
    client.delete(key)
    client.execute(command[0], key, *command[1:])


def is_no_session(store: SessionStore, session_id: str) -> bool:
    limit = RateLimit("own", 100, 60)
    admission = Admission(Limiter(store.client), store)
    for charges in ([Charge(limit, "a")], lambda user_id: [Charge(limit, f"user:{user_id}")]):
        if admission.admit(session_id, charges).session is not None:
            return False
    return store.load(session_id) is None


@ON_SERVERS
class TestWhatIsNoSession:
    def test_an_empty_id(self, store: SessionStore) -> None:
        assert is_no_session(store, "")
        assert store.refresh("") is None
        assert store.revoke("") is False

    @pytest.mark.parametrize("command", OTHER_TYPES, ids=lambda command: command[0])
    def test_another_type(self, store: SessionStore, command: Command) -> None:
        session = store.create(7, {}, session_id="odd")
        plant(store.client, "session:odd", command)

        assert is_no_session(store, "odd")
        assert store.refresh("odd") is None
        assert store.list(7) == []
        with pytest.raises(SessionGone):
            store.save(session)
        with pytest.raises(SessionGone):
            store.rotate(session)
        with pytest.raises(SessionExists):
            store.create(7, {}, session_id="odd")
        assert store.create(7, {}, session_id="odd", replace_existing=True).user_id == 7
        plant(store.client, "session:odd", command)
        assert store.revoke("odd") is False
        assert store.client.exists("session:odd") == 0

    @pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
    def test_another_text(self, store: SessionStore, text: str | bytes) -> None:
        session = store.create(7, {}, session_id="odd")
        store.client.set("session:odd", text)

        assert is_no_session(store, "odd")
        assert store.list(7) == []
        with pytest.raises(SessionGone):
            store.save(session)
        with pytest.raises(SessionGone):
            store.rotate(session)
        assert store.revoke("odd") is False
        assert store.client.exists("session:odd") == 0

    @pytest.mark.parametrize(("field", "value"), WRONG_FIELDS)
    def test_a_document_with_a_wrong_field(
        self, store: SessionStore, field: str, value: Any
    ) -> None:
        store.create(7, {}, session_id="odd")
        text = store.client.get("session:odd") or ""
        document = json.loads(text) | {field: value}
        for odd in (document, {name: document[name] for name in document if name != field}):
            store.client.set("session:odd", json.dumps(odd, separators=(",", ":")))

            assert is_no_session(store, "odd")
            assert store.list(7) == []
            store.revoke_all(7, auth_epoch=0)
        assert store.revoke("odd") is False

    def test_a_document_that_does_not_begin_with_its_user(self, store: SessionStore) -> None:
        """Scripts recognise the user by the beginning: it must not be admitted for ever."""
        store.create(7, {}, session_id="odd")
        text = store.client.get("session:odd") or ""
        store.client.set("session:odd", text.replace('{"user_id":7', '{ "user_id":7', 1))

        assert is_no_session(store, "odd")

    def test_a_document_that_does_not_end_with_its_numbers(self, store: SessionStore) -> None:
        store.create(7, {}, session_id="odd")
        text = store.client.get("session:odd") or ""
        for odd in (text + " ", text.replace(',"auth_at"', ', "auth_at"'), text[:-1] + ',"a":1}'):
            store.client.set("session:odd", odd)

            assert is_no_session(store, "odd")

    def test_a_session_without_expiry_gets_one(self, store: SessionStore) -> None:
        session = store.create(7, {})
        key = f"session:{session.session_id}"
        store.client.execute("PERSIST", key)

        assert store.load(session.session_id, touch=False) is not None
        assert 3500 < store.client.ttl(key) <= 3660


class TestOddIndexes:
    """The index is a copy: it is rebuilt from the sessions."""

    @pytest.fixture(params=OTHER_TYPES, ids=lambda command: command[0])
    def break_index(
        self, request: pytest.FixtureRequest, store: SessionStore
    ) -> Callable[[], None]:
        return lambda: plant(store.client, "user:sessions:7", request.param)

    def test_all_sessions_are_listed(
        self, store: SessionStore, break_index: Callable[[], None]
    ) -> None:
        mine = [store.create(7, {}) for _ in range(3)]
        store.create(8, {})
        store.create(70, {})
        break_index()

        assert {one.session_id for one in store.list(7)} == {one.session_id for one in mine}
        assert 43_100 < store.client.ttl("user:sessions:7") <= 43_200

    def test_a_revocation_ends_all_sessions_but_the_spared_one(
        self, store: SessionStore, break_index: Callable[[], None]
    ) -> None:
        mine = [store.create(7, {}) for _ in range(3)]
        other = store.create(8, {})
        break_index()

        assert store.revoke_all(7, auth_epoch=1, spare=mine[0].session_id) == 2

        assert [store.load(one.session_id) is None for one in mine] == [False, True, True]
        assert store.load(other.session_id) is not None
        assert len(store.list(7)) == 1

    @pytest.mark.parametrize("earlier", [0, 1])
    def test_a_new_session_does_not_hide_the_earlier_ones(
        self, store: SessionStore, break_index: Callable[[], None], earlier: int
    ) -> None:
        for _ in range(earlier):
            store.create(7, {})
        break_index()

        store.create(7, {})

        assert len(store.list(7)) == earlier + 1
        assert store.revoke_all("7", auth_epoch=1) == earlier + 1

    def test_a_rotation_does_not_hide_the_others(
        self, store: SessionStore, break_index: Callable[[], None]
    ) -> None:
        first, second = store.create(7, {}), store.create(7, {})
        break_index()

        rotated = store.rotate(first)

        listed = {one.session_id for one in store.list(7)}
        assert listed == {rotated.session_id, second.session_id}

    def test_a_logout_works(self, store: SessionStore, break_index: Callable[[], None]) -> None:
        session = store.create(7, {})
        break_index()

        assert store.revoke(session.session_id) is True
        assert store.list(7) == []
        assert store.client.exists("user:sessions:7") == 0

    def test_many_sessions_are_found_in_parts(
        self, redis_client: RedisClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = SessionStore(redis_client, max_per_user=1000)
        for number in range(350):
            store.create(7, {}, session_id=f"mine{number}")
            store.create(8, {}, session_id=f"other{number}")
        plant(redis_client, "user:sessions:7", ("SET", "x"))

        with caplog.at_level(logging.WARNING):
            assert store.revoke_all(7, auth_epoch=1, spare="mine7") == 349

        (line,) = [line for line in caplog.messages if "user:sessions" in line]
        assert "Redis" in line
        assert len(store.list(8)) == 350

    def test_a_connect_hook_repairs_it_too(self, redis_client: RedisClient) -> None:
        store = SessionStore(redis_client)
        store.create(7, {})
        plant(redis_client, "user:sessions:7", ("SET", "x"))
        ended: list[int] = []

        redis_client.on_connect(
            lambda send: ended.append(store.revoke_as(Revocation.of(7, 1), send))
        )
        assert redis_client.ping()

        assert ended == [1]
        assert store.list(7) == []

    @pytest.mark.parametrize("member", [b"\xff\xfe", "", "x" * 300, "a b", "%ZZ"])
    def test_odd_members_are_removed(self, redis_client: RedisClient, member: str | bytes) -> None:
        store = SessionStore(redis_client)
        session = store.create(7, {})
        redis_client.execute("ZADD", "user:sessions:7", "inf", member)

        assert [one.session_id for one in store.list(7)] == [session.session_id]
        redis_client.execute("ZADD", "user:sessions:7", "inf", member)
        assert store.create(7, {}).user_id == 7
        assert store.revoke_all(7, auth_epoch=1) == 2
        assert redis_client.exists("user:sessions:7") == 0


class TestOddEpochs:
    @pytest.mark.parametrize(
        "command", [*OTHER_TYPES, ("SET", "nan"), ("SET", "inf"), ("SET", ""), ("SET", "9999")]
    )
    def test_they_give_way(self, store: SessionStore, command: Command) -> None:
        session = store.create(7, {}, auth_epoch=1)
        plant(store.client, "user:auth_epoch:7", command)

        assert store.create(7, {}, auth_epoch=1).auth_epoch == 1
        plant(store.client, "user:auth_epoch:7", command)
        assert store.rotate(session).auth_epoch == 1
        plant(store.client, "user:auth_epoch:7", command)
        assert store.revoke_all(7, auth_epoch=2) == 2
        assert store.client.get("user:auth_epoch:7") == "2"
        assert store.client.ttl("user:auth_epoch:7") > 0

    @pytest.mark.parametrize("text", ["inf", "1e999", "-1", "0x99", "9" * 400, b"\xff"])
    def test_a_text_that_is_not_an_epoch_does_not_refuse_logins(
        self, redis_client: RedisClient, text: str
    ) -> None:
        redis_client.set("user:auth_epoch:7", text, ttl=60)

        assert SessionStore(redis_client).create(7, {}, auth_epoch=0).user_id == 7


class TestIncompleteIndex:
    """The index may lose entries, as by an operator's DEL. A revocation ends every session."""

    @pytest.mark.parametrize(
        "commands",
        [
            (("DEL", "user:sessions:7"),),
            (("ZREM", "user:sessions:7", "one"),),
            (("DEL", "user:sessions:7"), ("ZADD", "user:sessions:7", 1, "junk")),
            (("SET", "user:sessions:7", "x"),),
        ],
        ids=["missing", "incomplete", "of another", "of another type"],
    )
    def test_all_sessions_of_the_user_end(
        self, redis_client: RedisClient, commands: tuple[tuple[str, ...], ...]
    ) -> None:
        store = SessionStore(redis_client)
        for name in ("one", "two"):
            store.create(7, {}, session_id=name)
        store.create(8, {}, session_id="of another user")
        for command in commands:
            redis_client.execute(*command)

        store.revoke_all(7, auth_epoch=1)

        assert store.load("one") is None
        assert store.load("two") is None
        assert store.load("of another user") is not None
        assert store.load(store.create(7, {}, auth_epoch=1).session_id) is not None

    def test_a_text_as_user_id_is_covered(self, redis_client: RedisClient) -> None:
        store = SessionStore(redis_client)
        session = store.create("john@example.com", {})
        redis_client.delete("user:sessions:john@example.com")

        store.revoke_all("john@example.com", auth_epoch=1)

        assert store.load(session.session_id) is None

    def test_the_spared_session_can_be_used_and_saved(self, redis_client: RedisClient) -> None:
        store = SessionStore(redis_client)
        spared = store.create(7, {"quote": '"auth_epoch":9,"idle_ms":1'})
        store.create(7, {}, session_id="other")

        store.revoke_all(7, auth_epoch=3, spare=spared.session_id)

        assert store.load("other") is None
        store.save(spared.with_data(theme="dark"))  # read before the revocation
        kept = store.load(spared.session_id)
        assert kept is not None
        assert kept.auth_epoch == 3
        assert kept.user_data == {"quote": '"auth_epoch":9,"idle_ms":1', "theme": "dark"}

    def test_a_session_without_an_epoch_begins_with_the_latest(
        self, redis_client: RedisClient
    ) -> None:
        store = SessionStore(redis_client)
        store.revoke_all(7, auth_epoch=3)

        session = store.create(7, {}, auth_epoch=None)

        assert store.load(session.session_id) is not None
