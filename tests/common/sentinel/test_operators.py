"""What operators see of a master with replicas and sentinels."""

from contextlib import closing

import pytest

from common.pyportal_common.cache_handlers import RedisClient, check_server
from common.pyportal_common.findings import Finding
from common.pyportal_common.operations import redis_checks
from common.pyportal_common.operations.redis_checks import check_database
from common.pyportal_common.testing.plugin import settings_for
from common.pyportal_common.testing.sentinel import SentinelSetup

from ..load import Connect
from ..waiting import wait_until

LONG = 120.0  # seconds


@pytest.fixture
def client(sentinel_setup: SentinelSetup, connect: Connect) -> RedisClient:
    return connect(sentinel_setup)


def findings(client: RedisClient, word: str) -> list[Finding]:
    return [each for each in check_database("caches", client, "test") if word in each.text]


def wrong(client: RedisClient) -> list[str]:
    found = check_database("caches", client, "test")
    return [each.text for each in found if each.state == "wrong"]


class TestDoctor:
    def test_it_names_the_master_and_its_replicas(
        self, client: RedisClient, sentinel_setup: SentinelSetup
    ) -> None:
        [found] = findings(client, "the master is")

        assert found.state == "ok"
        assert f"the master is 127.0.0.1:{sentinel_setup.primary.port}" in found.text
        for replica in sentinel_setup.replicas:
            assert f"127.0.0.1:{replica.port}" in found.text

    def test_sentinels_that_do_not_answer_are_wrong(
        self, client: RedisClient, sentinel_setup: SentinelSetup
    ) -> None:
        gone = sentinel_setup.sentinels[1]
        gone.kill()

        assert any(f"127.0.0.1:{gone.port}" in text for text in wrong(client))

    def test_a_master_without_a_replica_is_wrong(
        self, client: RedisClient, sentinel_setup: SentinelSetup
    ) -> None:
        primary = sentinel_setup.primary
        with closing(sentinel_setup.admin(primary)) as admin:
            admin.config_set("min-replicas-to-write", 0)
        client.ping()
        for replica in sentinel_setup.replicas:
            replica.kill()

        def says_so() -> bool:
            return any("without a replica" in text for text in wrong(client))

        wait_until(says_so, seconds=LONG)

    def test_a_replica_that_is_behind_is_wrong(
        self,
        client: RedisClient,
        sentinel_setup: SentinelSetup,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(redis_checks, "_MAX_LAG_SECONDS", 0)
        replica = sentinel_setup.replicas[0]
        replica.pause()

        def says_so() -> bool:
            return f"the replica 127.0.0.1:{replica.port} is behind" in wrong(client)

        wait_until(says_so, seconds=LONG)


def test_a_server_check_finds_nothing_wrong(sentinel_setup: SentinelSetup) -> None:
    report = check_server(settings_for(sentinel_setup), 1, service="taskprocessing")

    assert report.refusals == []
    assert report.warnings == []
