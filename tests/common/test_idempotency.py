"""Idempotency keys, on every kind of server."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest

from common.pyportal_common.cache_handlers import (
    Begun,
    IdempotencyStore,
    InFlight,
    Mismatch,
    Observer,
    RedisClient,
    RedisUnavailable,
    Reply,
    fingerprint_of,
    keys,
)
from common.pyportal_common.redis_server import RedisServer

from .load import Connect

CREATED = Reply(201, "application/json", "/things/7", '{"id":7,"name":"é🛫"}\n')
OTHER = Reply(409, "application/json", "", '{"error":"taken"}\n')
RECORD = keys.idempotency("test", "things/anyone", "k1")


class Store(IdempotencyStore):
    """A store, and the client that it uses."""

    def __init__(self, client: RedisClient, service: str = "test") -> None:
        super().__init__(client, service=service)
        self.client = client

    def ms_left(self) -> int:
        return int(self.client.execute("PTTL", RECORD))


@pytest.fixture
def store(client: RedisClient) -> Store:
    return Store(client)


def begin(store: Store, *, key: str = "k1", fingerprint: str = "f1") -> Begun:
    begun = store.begin("things/anyone", key, fingerprint)
    assert isinstance(begun, Begun)
    return begun


def again(store: Store, *, key: str = "k1", fingerprint: str = "f1") -> InFlight | Mismatch | Reply:
    found = store.begin("things/anyone", key, fingerprint)
    assert not isinstance(found, Begun)
    return found


class TestTransitions:
    def test_the_first_request_begins_and_the_next_finds_it_in_flight(self, store: Store) -> None:
        begin(store)

        assert again(store) == InFlight(retry_after=1)
        assert 59_000 < store.ms_left() <= 60_000

    def test_the_response_is_replayed_for_a_day(self, store: Store) -> None:
        assert store.finish(begin(store), CREATED) is True

        assert again(store) == CREATED
        assert again(store) == CREATED
        assert 86_390_000 < store.ms_left() <= 86_400_000

    def test_an_abandoned_key_is_free_again(self, store: Store) -> None:
        assert store.abandon(begin(store)) is True

        assert store.client.exists(RECORD) == 0
        begin(store, fingerprint="f2")

    def test_another_request_with_the_key_is_a_mismatch(self, store: Store) -> None:
        begun = begin(store)

        assert again(store, fingerprint="f2") == Mismatch()
        store.finish(begun, CREATED)
        assert again(store, fingerprint="f2") == Mismatch()
        assert again(store) == CREATED

    def test_clients_that_retry_are_told_to_back_off(self, store: Store) -> None:
        begin(store)
        waits = []
        for left in (59_900, 52_000, 20_000, 300):
            store.client.execute("PEXPIRE", RECORD, left)
            found = again(store)
            assert isinstance(found, InFlight)
            waits.append(found.retry_after)

        assert waits == [1, 9, 20, 1] or waits == [1, 8, 20, 1]

    def test_of_fifty_at_once_one_begins(self, redis_server: RedisServer, connect: Connect) -> None:
        store = Store(connect(redis_server, max_connections=50))

        with ThreadPoolExecutor(50) as pool:
            found = list(pool.map(lambda _: store.begin("things", "k1", "f1"), range(50)))

        assert sum(isinstance(one, Begun) for one in found) == 1
        assert sum(isinstance(one, InFlight) for one in found) == 49

    def test_every_step_is_one_round_trip(self, store: Store) -> None:
        store.finish(begin(store, key="before"), CREATED)  # the server knows the scripts now
        observer = Mock(Observer)
        store.client.observe(observer)

        store.finish(begin(store), CREATED)
        again(store)

        store.client.observe(Observer())
        assert observer.round_trip.call_count == 3


class TestEndedLease:
    """A request whose lease has ended changes nothing any more."""

    @pytest.fixture
    def late(self, store: Store) -> Begun:
        late = begin(store)
        store.client.execute("PEXPIRE", RECORD, 0)
        return late

    def test_another_request_can_begin(self, store: Store, late: Begun) -> None:
        assert begin(store).token != late.token

    def test_it_stores_nothing(self, store: Store, late: Begun) -> None:
        assert (store.finish(late, OTHER), store.abandon(late)) == (False, False)
        assert store.client.exists(RECORD) == 0

    def test_it_changes_neither_the_lease_nor_the_response_of_a_later_request(
        self, store: Store, late: Begun
    ) -> None:
        later = begin(store)
        assert (store.finish(late, OTHER), store.abandon(late)) == (False, False)
        assert again(store) == InFlight(retry_after=1)

        assert store.finish(later, CREATED) is True
        assert (store.finish(late, OTHER), store.abandon(late)) == (False, False)
        assert again(store) == CREATED
        assert store.ms_left() > 86_390_000

    def test_a_request_finishes_once(self, store: Store) -> None:
        begun = begin(store)
        store.finish(begun, CREATED)

        assert (store.finish(begun, OTHER), store.abandon(begun)) == (False, False)
        assert again(store) == CREATED


class TestKeys:
    def test_a_key_is_separate_in_each_scope_and_service(self, store: Store) -> None:
        store.finish(begin(store), CREATED)

        others = [
            store.begin("things/user=7", "k1", "f1"),
            store.begin("things", "k1", "f1"),
            Store(store.client, "other").begin("things/anyone", "k1", "f1"),
        ]

        assert all(isinstance(other, Begun) for other in others)

    @pytest.mark.parametrize(
        "key", ["", " ", "{}:*", "a" * 100_000, "\x00\r\n", "é🛫", "\ud800", "things/anyone:k1"]
    )
    def test_any_text_is_a_separate_key(self, store: Store, key: str) -> None:
        store.finish(begin(store, key=key), CREATED)

        assert again(store, key=key) == CREATED
        begin(store)
        names = list(store.client.scan("*"))
        assert len(names) == 2
        assert {len(name) for name in names} == {len(RECORD)}

    def test_every_record_expires_and_contains_no_key(self, store: Store) -> None:
        store.finish(begin(store, key="clients-own-key"), CREATED)
        begin(store, key="clients-own-key-2")

        for name in store.client.scan("*"):
            assert store.client.ttl(name) > 0
            assert "clients-own-key" not in name + str(store.client.hgetall(name))

    @pytest.mark.parametrize(
        "command",
        [
            ("SET", RECORD, "garbage"),
            ("RPUSH", RECORD, "garbage"),
            ("HSET", RECORD, "something", "else"),
            ("HSET", RECORD, "fingerprint", "f1"),
            ("HSET", RECORD, "fingerprint", "f1", "status", "created"),
            ("HSET", RECORD, "token", "t", "status", "201"),
        ],
    )
    def test_another_value_is_replaced(self, store: Store, command: tuple[str, ...]) -> None:
        store.client.execute(*command)

        begun = begin(store)

        assert store.ms_left() > 0
        assert store.finish(begun, CREATED) is True
        assert again(store) == CREATED

    def test_a_value_that_replaced_the_record_is_not_changed(self, store: Store) -> None:
        begun = begin(store)
        store.client.set(RECORD, "garbage")

        assert (store.finish(begun, CREATED), store.abandon(begun)) == (False, False)
        assert store.client.get(RECORD) == "garbage"


class TestFingerprints:
    @pytest.mark.parametrize("secret", [True, False])
    def test_it_distinguishes_requests_by_every_part_and_by_the_key(self, secret: bool) -> None:
        prints = {
            fingerprint_of("k1", b"POST", b"/things", b"body", secret=secret),
            fingerprint_of("k2", b"POST", b"/things", b"body", secret=secret),
            fingerprint_of("k1", b"PATCH", b"/things", b"body", secret=secret),
            fingerprint_of("k1", b"POST", b"/thing", b"sbody", secret=secret),
            fingerprint_of("k1", b"POST", b"/things", b"body", b"", secret=secret),  # as zeros
        }

        assert len(prints) == 5
        assert {len(text) for text in prints} == {64}

    def test_it_is_the_same_in_every_process(self) -> None:
        assert fingerprint_of("k1", b"POST", b"") == (
            "1f591b0d41455ff60132cd139bf99221541ff1c908e06d295ec275e8fb12f65d"
        )
        assert fingerprint_of("k1", b"POST", b"", secret=False) == (
            "4a7119954fc583032188247a66e05d8898689e0e925b33e9118f2787fe9211f6"
        )


class TestOutage:
    def test_keys_and_responses_survive_sigkill_and_restart(
        self, start_redis: Callable[..., RedisServer], connect: Connect
    ) -> None:
        server = start_redis(appendfsync="always")
        store = Store(connect(server))
        begin(store)
        store.finish(begin(store, key="k2"), CREATED)
        server.kill()
        server.start()

        restarted = Store(connect(server))
        assert isinstance(again(restarted), InFlight)
        assert again(restarted, key="k2") == CREATED

    def test_with_full_memory_no_request_begins_and_keys_can_be_released(
        self, own_client: RedisClient
    ) -> None:
        store = Store(own_client)
        begun, finished = begin(store), begin(store, key="k2")
        own_client.execute("CONFIG", "SET", "maxmemory", "1")

        with pytest.raises(RedisUnavailable):
            begin(store, key="k3")
        assert store.finish(finished, CREATED) is False
        assert store.abandon(begun) is True
