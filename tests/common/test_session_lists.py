"""What a list of sessions says about each: its origin, and its last use."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from common.pyportal_common.cache_handlers import (
    RedisClient,
    Session,
    SessionGone,
    SessionStore,
    keys,
)

HOUR_MS = 3_600_000
ORIGIN = {"device": "Firefox on Linux", "network": "192.0.2.0/24"}


@pytest.fixture
def sessions(client: RedisClient) -> SessionStore:
    return SessionStore(client)


def used_ago(store: SessionStore) -> timedelta:
    """The time since the last use of the only session of user 7."""
    (session,) = store.list(7)
    assert session.last_used_at is not None
    return datetime.now(UTC) - session.last_used_at


def set_ttl(store: SessionStore, session: Session, ttl_ms: int) -> None:
    """Set the time to live, as it is after some time without use."""
    store.client.execute("PEXPIRE", keys.session(session.session_id), ttl_ms)


def end_in(store: SessionStore, session: Session, left_ms: int) -> None:
    """Make a session older, so that the absolute timeout is then."""
    key = keys.session(session.session_id)
    text = store.client.get(key) or ""
    document = json.loads(text)
    older = document["expires_at"] - round(datetime.now(UTC).timestamp() * 1000) - left_ms
    for moment in {document[name] for name in ("created_at", "auth_at", "expires_at")}:
        text = text.replace(str(moment), str(moment - older))
    store.client.set(key, text, ttl=3600)


@pytest.mark.parametrize("minutes", [0, 1, 30, 59])
def test_the_last_use_is_known_to_a_minute_without_being_written(
    sessions: SessionStore, minutes: int
) -> None:
    session = sessions.create(7, {})
    key = keys.session(session.session_id)
    began = json.loads(sessions.client.get(key) or "")["auth_at"]
    text = (sessions.client.get(key) or "").replace(str(began), str(began - 2 * HOUR_MS))
    sessions.client.set(key, text, ttl=10)
    assert sessions.load(session.session_id) is not None  # a touch
    left = int(sessions.client.execute("PTTL", key))
    set_ttl(sessions, session, left - minutes * 60_000)

    ago = used_ago(sessions)

    assert abs(ago - timedelta(minutes=minutes)) < timedelta(seconds=30)


def test_a_session_that_was_never_used_was_last_used_by_its_login(sessions: SessionStore) -> None:
    session = sessions.create(7, {})

    (listed,) = sessions.list(7)

    assert listed.last_used_at == session.auth_at


def test_near_the_absolute_timeout_the_last_use_is_known_and_the_end_is_kept(
    sessions: SessionStore,
) -> None:
    session = sessions.create(7, {})
    end_in(sessions, session, HOUR_MS // 2)
    set_ttl(sessions, session, 10_000)

    loaded = sessions.load(session.session_id)
    (listed,) = sessions.list(7)

    assert loaded is not None
    for each in (loaded, listed):
        assert 1770 < each.ttl_seconds < 1801
    assert used_ago(sessions) < timedelta(seconds=30)


def test_a_session_that_was_refreshed_for_longer_has_no_known_last_use(
    sessions: SessionStore,
) -> None:
    session = sessions.create(7, {})
    sessions.refresh(session.session_id, 7200)

    (listed,) = sessions.list(7)

    assert listed.last_used_at is None


def test_a_session_after_its_absolute_timeout_is_neither_listed_nor_changed(
    sessions: SessionStore,
) -> None:
    session = sessions.create(7, {})
    end_in(sessions, session, -1)

    assert sessions.list(7) == []
    for change in (sessions.save, sessions.rotate):
        with pytest.raises(SessionGone):
            change(session)
    assert sessions.load(session.session_id) is None


def test_the_origin_stays_with_the_session(sessions: SessionStore) -> None:
    session = sessions.create(7, {"role": "user"}, origin=ORIGIN)

    saved = sessions.save(session.with_data(theme="dark"))
    rotated = sessions.rotate(saved)
    sessions.revoke_all(7, auth_epoch=1, spare=rotated.session_id)

    (listed,) = sessions.list(7)
    assert (session.origin, listed.origin) == (ORIGIN, ORIGIN)
    assert listed.user_data == {"role": "user", "theme": "dark"}


def test_a_document_without_an_origin_is_as_before(sessions: SessionStore) -> None:
    session = sessions.create(7, {})

    text = sessions.client.get(keys.session(session.session_id)) or ""

    assert list(json.loads(text))[:3] == ["user_id", "user_data", "revision"]
    assert session.origin == {}


@pytest.mark.parametrize("origin", ["[]", '"x"', "7", "null", '{"device":7}', '{"device":{}}'])
def test_a_document_with_an_odd_origin_is_no_session(sessions: SessionStore, origin: str) -> None:
    session = sessions.create(7, {}, origin=ORIGIN)
    key = keys.session(session.session_id)
    text = sessions.client.get(key) or ""
    document = json.loads(text)["origin"]
    sessions.client.set(
        key, text.replace(json.dumps(document, separators=(",", ":")), origin), ttl=60
    )

    assert sessions.load(session.session_id) is None
    assert sessions.list(7) == []
