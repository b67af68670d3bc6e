"""A logout that no replica has received, and then a failover."""

from contextlib import closing, suppress

import pytest

from common.pyportal_common.cache_handlers import RedisUnavailable, SessionStore
from common.pyportal_common.cache_handlers.sessions.ended import EndedSessions
from common.pyportal_common.testing.sentinel import SentinelSetup

from ..load import Connect
from ..waiting import wait_until

LONG = 120.0  # seconds: a busy machine may elect a master late

pytestmark = pytest.mark.slow


def test_a_session_stays_ended_though_the_new_master_has_it(
    sentinel_setup: SentinelSetup, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    ending, idle = (SessionStore(connect(sentinel_setup)) for _ in range(2))
    ended, kept = (ending.create(user_id, {}).session_id for user_id in (7, 8))
    assert idle.load(ended) is not None
    sentinel_setup.wait_until_replicated()
    old, replicas = sentinel_setup.primary, sentinel_setup.replicas

    cut_off(sentinel_setup)
    assert ending.revoke(ended)
    wait_until(lambda: len(idle.client.companions.of(EndedSessions)), seconds=LONG)
    old.kill()
    for replica in replicas:
        replica.resume()
    sentinel_setup.wait_for_primary(other_than=old)

    for store in (idle, ending):
        assert is_valid(store, kept)
        assert not is_valid(store, ended)
    assert "had lost ends of sessions: 1 have" in caplog.text


def cut_off(setup: SentinelSetup) -> None:
    """Have the replicas receive nothing more, while the primary accepts writes."""
    with closing(setup.admin(setup.primary)) as admin:
        admin.config_set("min-replicas-to-write", 0)
        for replica in setup.replicas:
            replica.pause()
        admin.execute_command("CLIENT", "KILL", "TYPE", "replica")


def is_valid(store: SessionStore, session_id: str) -> bool:
    """Whether a process accepts the session, as soon as it can use Redis."""
    found: list[bool] = []

    def load() -> bool:
        with suppress(RedisUnavailable):
            found.append(store.load(session_id) is not None)
        return bool(found)

    wait_until(load, seconds=LONG)
    return found[0]
