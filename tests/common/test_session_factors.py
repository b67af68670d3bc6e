"""What a session says about how its user has authenticated."""

import time

import pytest

from common.pyportal_common.cache_handlers import RedisClient, SessionStore

PASSWORD, CODE = "pwd", "otp"


@pytest.fixture
def store(redis_client: RedisClient) -> SessionStore:
    return SessionStore(redis_client)


def test_a_session_says_when_each_factor_was_proven(store: SessionStore) -> None:
    created = store.create(7, {}, factors=[PASSWORD, CODE])

    session = store.load(created.session_id)

    assert session is not None
    assert session.factors == {PASSWORD: session.auth_at, CODE: session.auth_at}
    assert session.amr == ["otp", "pwd", "mfa"]
    assert session.has_second_factor
    assert store.list(7)[0].amr == session.amr


def test_a_session_of_one_factor_or_of_an_unknown_login_is_not_mfa(store: SessionStore) -> None:
    assert store.create(7, {}, factors=[PASSWORD]).amr == ["pwd"]
    assert store.create(7, {}).amr == []


def test_saving_keeps_the_factors_and_their_times(store: SessionStore) -> None:
    created = store.create(7, {}, factors=[PASSWORD, CODE])

    store.save(created.with_data(theme="dark"))

    session = store.load(created.session_id)
    assert session is not None
    assert session.factors == created.factors


def test_a_session_is_as_fresh_as_the_factor_that_was_proven_first(store: SessionStore) -> None:
    first = store.create(7, {}, factors=[PASSWORD, CODE])
    time.sleep(0.02)

    rotated = store.rotate(first, factors={**first.factors, PASSWORD: None})

    session = store.load(rotated.session_id)
    assert session is not None
    assert session.factors == {PASSWORD: rotated.auth_at, CODE: first.auth_at}
    assert session.auth_age_seconds >= 0.02


def test_factors_that_are_not_given_keep_their_times(store: SessionStore) -> None:
    first = store.create(7, {}, factors=[PASSWORD])
    time.sleep(0.01)

    rotated = store.rotate(first)

    assert rotated.auth_at > first.auth_at
    assert rotated.factors == first.factors


def test_factors_that_are_given_replace_the_others(store: SessionStore) -> None:
    first = store.create(7, {}, factors=[PASSWORD, CODE])

    rotated = store.rotate(first, factors={PASSWORD: None, "pop": None})

    assert rotated.amr == ["pop", "pwd", "mfa"]


def test_other_apps_read_the_factors_in_the_document(store: SessionStore) -> None:
    session = store.create(7, {}, factors=[PASSWORD, CODE])

    document = store.client.get_json(f"session:{session.session_id}")

    assert document["factors"] == {PASSWORD: None, CODE: None}  # at auth_at
