"""Many sessions of one user: how many there may be, and that no script handles them all at once."""

from collections.abc import Sequence
from typing import Any

import pytest

from common.pyportal_common.cache_handlers import RedisClient, Script, SessionLimits, SessionStore
from common.pyportal_common.cache_handlers.sessions.user_index import KEYS_AT_ONCE

FILL = Script.of(
    """for i = tonumber(ARGV[4]), tonumber(ARGV[1]) do
      local text = string.gsub(ARGV[2], '"n":0', '"n":' .. i)
      redis.call('SET', 'session:many' .. i, text, 'PX', 3600000)
      redis.call('ZADD', 'user:sessions:7', ARGV[3] + i, 'many' .. i)
    end"""
)


def fill(store: SessionStore, count: int) -> None:
    """Sessions of user 7 from before there was a limit."""
    session = store.create(7, {"n": 0})
    text = store.client.get(f"session:{session.session_id}") or ""
    expires = store.client.execute("ZSCORE", "user:sessions:7", session.session_id)
    store.revoke(session.session_id)
    for first in range(1, count + 1, 1000):  # a busy machine may take long for all
        last = min(first + 999, count)
        store.client.run(FILL, [], [last, text, int(expires) - 10_000_000, first])


class TestLimit:
    @pytest.fixture
    def store(self, client: RedisClient) -> SessionStore:
        return SessionStore(client, max_per_user=3)

    def test_the_oldest_session_ends_when_one_more_is_created(self, store: SessionStore) -> None:
        created = [store.create(7, {"n": n}, session_id=f"s{n}") for n in range(5)]
        other = store.create(8, {})

        assert {one.session_id for one in store.list(7)} == {"s2", "s3", "s4"}
        assert [store.load(one.session_id) is None for one in created] == [True, True, *[False] * 3]
        assert store.load(other.session_id) is not None

    def test_sessions_that_have_ended_make_room(self, store: SessionStore) -> None:
        for name in ("first", "second", "third"):
            store.create(7, {}, session_id=name)
        store.client.delete("session:second")  # as after its idle timeout

        store.create(7, {}, session_id="fourth")

        assert {one.session_id for one in store.list(7)} == {"first", "third", "fourth"}

    def test_a_session_of_another_user_is_not_ended(self, store: SessionStore) -> None:
        store.create(7, {}, session_id="chosen")
        store.create(8, {}, session_id="chosen", replace_existing=True)
        for _ in range(4):
            store.create(7, {})

        assert store.load("chosen") is not None
        assert len(store.list(7)) == 3

    def test_replacing_and_rotating_sessions_end_no_other(self, store: SessionStore) -> None:
        for name in ("first", "second", "third"):
            store.create(7, {}, session_id=name)

        store.create(7, {"new": 1}, session_id="third", replace_existing=True)
        session = store.load("second")
        assert session is not None
        store.rotate(session)

        assert len(store.list(7)) == 3
        assert store.load("first") is not None

    def test_many_sessions_from_before_the_limit_end_a_part_at_a_time(
        self, store: SessionStore
    ) -> None:
        fill(store, 450)

        counts = []
        for _ in range(3):
            store.create(7, {})
            counts.append(store.client.execute("ZCARD", "user:sessions:7"))

        assert counts == [251, 52, 3]

    def test_a_variable_sets_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert SessionLimits.load().max_per_user == 100
        monkeypatch.setenv("SESSION_MAX_PER_USER", "5")
        assert SessionLimits.load().max_per_user == 5


class TestTenThousand:
    COUNT = 10_000

    @pytest.fixture
    def sizes(self, redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How many keys and arguments each script got, and how many items it returned."""
        found: list[int] = []
        run = redis_client.run

        def measured(script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
            reply = run(script, keys, args)
            found.extend([len(keys) + len(args), len(reply) if isinstance(reply, list) else 1])
            return reply

        monkeypatch.setattr(redis_client, "run", measured)
        return found

    def test_they_are_listed_in_parts(self, redis_client: RedisClient, sizes: list[int]) -> None:
        store = SessionStore(redis_client)
        fill(store, self.COUNT)

        listed = store.list(7)

        assert [
            one.user_data["n"] for one in sorted(listed, key=lambda one: one.user_data["n"])
        ] == [*range(1, self.COUNT + 1)]
        assert max(sizes) <= 3 * 2 * KEYS_AT_ONCE
        assert len(sizes) > self.COUNT / KEYS_AT_ONCE

    def test_they_end_in_parts(self, redis_client: RedisClient, sizes: list[int]) -> None:
        store = SessionStore(redis_client)
        fill(store, self.COUNT)

        assert store.revoke_all(7, auth_epoch=1, spare="many77") == self.COUNT - 1

        assert max(sizes) <= 2 * KEYS_AT_ONCE
        assert [one.session_id for one in store.list(7)] == ["many77"]

    def test_sessions_that_are_created_meanwhile_are_kept_or_ended_by_their_epoch(
        self, redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = SessionStore(redis_client, max_per_user=5000)
        fill(store, 500)
        run, late = redis_client.run, []

        def with_logins(script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
            reply = run(script, keys, args)
            monkeypatch.setattr(redis_client, "run", run)
            late.append(store.create(7, {}, auth_epoch=1))
            store.revoke("many9")
            monkeypatch.setattr(redis_client, "run", with_logins)
            return reply

        monkeypatch.setattr(redis_client, "run", with_logins)
        store.revoke_all(7, auth_epoch=1)
        monkeypatch.setattr(redis_client, "run", run)

        kept = {one.session_id for one in store.list(7)}
        assert kept == {one.session_id for one in late}
        assert len(kept) >= 10
