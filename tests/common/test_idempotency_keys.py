"""Idempotency keys in SQL: one effect for a key, committed with the response to it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Column, Integer, String, Table, func, insert, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import UpdateBase

from common.pyportal_common.db import Base, Database, IdempotencyKeys, forget_user
from common.pyportal_common.db import idempotency as module
from common.pyportal_common.db.idempotency import (
    KEYS,
    NO_KEY,
    KeptResponse,
    KeyedRequest,
    KeyInFlight,
    KeyReused,
    KeyTaken,
    old_keys,
)
from common.pyportal_common.testing.kit import statements_of

from .waiting import wait_until

EFFECTS = Table(
    "effects_of_keys", Base.metadata, Column("id", Integer, primary_key=True), Column("by", String)
)
REQUEST = KeyedRequest("things/user=7", "digest", "fingerprint")
RESPONSE = KeptResponse(201, "application/json", "/things/1", '{"id":1}', 7)
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(sql_url: str) -> Iterator[Database]:
    database = Database(sql_url, pool_size=60)
    tables = [KEYS, EFFECTS]
    Base.metadata.drop_all(database.engine, tables)
    Base.metadata.create_all(database.engine, tables)
    yield database
    Base.metadata.drop_all(database.engine, tables)
    database.close()


@pytest.fixture
def keys(database: Database, clock: Clock) -> IdempotencyKeys:
    return IdempotencyKeys(database, clock=clock)


@pytest.fixture
def take_effect(database: Database, keys: IdempotencyKeys) -> Callable[..., None]:
    """Has the effect of a request, and keeps the response."""

    def take_effect(request: KeyedRequest = REQUEST, response: KeptResponse = RESPONSE) -> None:
        with database.begin() as tx, keys.claim(tx, request) as keep:
            tx.execute(insert(EFFECTS).values(by=request.fingerprint))
            keep(response)

    return take_effect


def effects_in(database: Database) -> int:
    with database.read() as tx:
        return tx.scalar(select(func.count()).select_from(EFFECTS)) or 0


def keys_in(database: Database) -> int:
    with database.read() as tx:
        return tx.scalar(select(func.count()).select_from(KEYS)) or 0


class TestKeep:
    def test_the_response_is_found_by_a_repetition(
        self, keys: IdempotencyKeys, take_effect: Callable[..., None]
    ) -> None:
        assert keys.find(REQUEST) is None

        take_effect()

        assert keys.find(REQUEST) == RESPONSE

    def test_another_fingerprint_is_refused_and_another_scope_or_key_is_not(
        self, keys: IdempotencyKeys, take_effect: Callable[..., None]
    ) -> None:
        take_effect()

        with pytest.raises(KeyReused):
            keys.find(replace(REQUEST, fingerprint="other"))
        assert keys.find(replace(REQUEST, scope="things/user=8")) is None
        assert keys.find(replace(REQUEST, key_digest="other")) is None

    def test_a_second_effect_is_rolled_back(
        self, database: Database, keys: IdempotencyKeys, take_effect: Callable[..., None]
    ) -> None:
        take_effect()

        with pytest.raises(KeyTaken):
            take_effect(REQUEST, replace(RESPONSE, body="second"))

        assert effects_in(database) == 1
        assert keys.find(REQUEST) == RESPONSE

    def test_a_transaction_that_fails_leaves_neither_effect_nor_key(
        self, database: Database, keys: IdempotencyKeys, take_effect: Callable[..., None]
    ) -> None:
        with suppress(LookupError), database.begin() as tx:
            with keys.claim(tx, REQUEST) as keep:
                tx.execute(insert(EFFECTS).values(by="failing"))
                keep(RESPONSE)
            raise LookupError

        assert (effects_in(database), keys_in(database)) == (0, 0)
        take_effect()
        assert effects_in(database) == 1

    def test_an_effect_without_a_response_to_keep_is_a_mistake_without_effect(
        self, database: Database, keys: IdempotencyKeys
    ) -> None:
        with (
            pytest.raises(RuntimeError, match="must keep its response"),
            database.begin() as tx,
            keys.claim(tx, REQUEST),
        ):
            tx.execute(insert(EFFECTS).values(by="forgetful"))

        assert (effects_in(database), keys_in(database)) == (0, 0)

    def test_a_response_of_any_size_is_kept(
        self, keys: IdempotencyKeys, take_effect: Callable[..., None]
    ) -> None:
        large = replace(RESPONSE, body="ä" * 500_000, location=None, user_id=None)

        take_effect(REQUEST, large)

        assert keys.find(REQUEST) == large

    def test_a_response_without_an_effect_is_kept_in_its_own_transaction(
        self, keys: IdempotencyKeys
    ) -> None:
        refused = replace(RESPONSE, status=409)

        keys.keep(REQUEST, refused)

        assert keys.find(REQUEST) == refused
        with pytest.raises(KeyTaken):
            keys.keep(REQUEST, RESPONSE)

    def test_without_a_key_nothing_is_kept(self, database: Database) -> None:
        with database.begin() as tx, NO_KEY.claim(tx) as keep:
            keep("result")

        assert keys_in(database) == 0


class TestExpiry:
    @pytest.mark.parametrize(("hours", "is_kept"), [(23.99, True), (24, False), (100, False)])
    def test_a_key_lives_for_24_hours(
        self,
        keys: IdempotencyKeys,
        clock: Clock,
        take_effect: Callable[..., None],
        hours: float,
        is_kept: bool,
    ) -> None:
        take_effect()

        clock.now += timedelta(hours=hours)

        assert keys.find(REQUEST) == (RESPONSE if is_kept else None)

    def test_an_expired_key_may_be_used_for_another_request(
        self,
        database: Database,
        keys: IdempotencyKeys,
        clock: Clock,
        take_effect: Callable[..., None],
    ) -> None:
        other = replace(REQUEST, fingerprint="other")
        take_effect()
        clock.now += timedelta(hours=24)

        take_effect(other, replace(RESPONSE, location=None))

        assert effects_in(database) == 2
        assert keys.find(other) == replace(RESPONSE, location=None)

    def test_housekeeping_deletes_only_expired_keys(
        self,
        database: Database,
        keys: IdempotencyKeys,
        clock: Clock,
        take_effect: Callable[..., None],
    ) -> None:
        take_effect()
        clock.now += timedelta(hours=12)
        take_effect(replace(REQUEST, key_digest="younger"))
        clock.now += timedelta(hours=12)

        keys.delete_old()

        assert keys_in(database) == 1
        assert keys.find(replace(REQUEST, key_digest="younger")) == RESPONSE

    def test_housekeeping_deletes_many_in_short_transactions(
        self, database: Database, keys: IdempotencyKeys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_DELETED_AT_ONCE", 2)
        with database.begin() as tx:
            for days in range(2, 7):
                row = {"scope": "s", "key_digest": str(days), "fingerprint": "f"}
                tx.execute(insert(KEYS).values(row | {"created_at": NOW - timedelta(days=days)}))

        statements = statements_of(database)
        keys.delete_old()

        assert keys_in(database) == 0
        assert sum(statement.startswith("DELETE") for statement in statements) == 3

    def test_deleting_expired_keys_and_those_of_a_user_is_indexed(self, tmp_path: object) -> None:
        database = Database(f"sqlite:///{tmp_path}/plan.sqlite3")
        Base.metadata.create_all(database.engine, [KEYS])
        of_user = KEYS.delete().where(KEYS.c.user_id == 7)

        plans = [plan_of(database, statement) for statement in (old_keys(NOW), of_user)]

        assert "INDEX ix_idempotency_keys_created_at" in plans[0]
        assert "INDEX ix_idempotency_keys_user_id" in plans[1]
        assert "SCAN idempotency_keys" not in "".join(plans)
        database.close()


def plan_of(database: Database, statement: UpdateBase) -> str:
    """How SQLite executes a statement."""
    compiled = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with database.read() as tx:
        rows = tx.execute(text(f"EXPLAIN QUERY PLAN {compiled}")).all()
    return "; ".join(row.detail for row in rows)


def test_deleting_a_user_deletes_the_responses_about_that_user(
    database: Database, keys: IdempotencyKeys, take_effect: Callable[..., None]
) -> None:
    of_other, of_nobody = replace(REQUEST, key_digest="8"), replace(REQUEST, key_digest="none")
    take_effect()
    take_effect(of_other, replace(RESPONSE, user_id=8))
    take_effect(of_nobody, replace(RESPONSE, user_id=None))

    with database.begin() as tx:
        forget_user(tx, 7)

    assert keys.find(REQUEST) is None
    assert keys.find(of_other) is not None
    assert keys.find(of_nobody) is not None


class TestConcurrency:
    def test_fifty_transactions_with_one_key_have_one_effect(
        self, database: Database, keys: IdempotencyKeys, take_effect: Callable[..., None]
    ) -> None:
        def attempt(number: int) -> str:
            try:
                take_effect(REQUEST, replace(RESPONSE, body=str(number)))
            except KeyTaken:
                found = keys.find(REQUEST)
                assert found is not None
                return found.body
            return str(number)

        with ThreadPoolExecutor(50) as pool:
            bodies = set(pool.map(attempt, range(50)))

        assert len(bodies) == 1
        assert effects_in(database) == 1

    def test_a_key_whose_first_transaction_rolls_back_is_free_for_the_next(
        self, database: Database, keys: IdempotencyKeys, take_effect: Callable[..., None]
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            with suppress(LookupError), database.begin() as tx:
                with keys.claim(tx, REQUEST) as keep:
                    keep(RESPONSE)
                second = pool.submit(take_effect)
                raise LookupError
            second.result()

        assert effects_in(database) == 1

    def test_postgresql_waits_briefly_for_a_transaction_with_the_key(
        self,
        database: Database,
        keys: IdempotencyKeys,
        take_effect: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if database.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)

        with database.begin() as tx, keys.claim(tx, REQUEST) as keep:
            with pytest.raises(KeyInFlight):
                take_effect()
            take_effect(replace(REQUEST, key_digest="other"))  # is not affected
            keep(RESPONSE)

        assert effects_in(database) == 1
        wait_until(lambda: keys.find(REQUEST) == RESPONSE)
