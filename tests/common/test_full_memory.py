"""What happens when the memory of a Redis server is full, by its role."""

import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from common.pyportal_common.cache_handlers import (
    Admission,
    Cache,
    Charge,
    Limiter,
    Policy,
    RateLimit,
    RedisClient,
    RedisRefused,
    SessionStore,
    keys,
)
from common.pyportal_common.db import Database
from common.pyportal_common.redis_server import RedisServer

from .items import change, create_tables, value_of
from .load import Connect, run_threads

HOUR = Policy(ttl=3600)


def fill(client: RedisClient) -> None:
    """Leave the server no memory."""
    client.execute("CONFIG", "SET", "maxmemory", "1")


class TestCaches:
    """A server with an eviction policy, which holds nothing but caches."""

    @pytest.fixture(params=["allkeys-lru", "allkeys-random"])
    def client(self, request: pytest.FixtureRequest, own_client: RedisClient) -> RedisClient:
        """A client of a server with room for some values."""
        used = int(own_client.execute("INFO", "memory")["used_memory"])
        own_client.execute("CONFIG", "SET", "maxmemory-policy", request.param)
        own_client.execute("CONFIG", "SET", "maxmemory", used + 500_000)
        return own_client

    @pytest.fixture
    def cache(self, client: RedisClient) -> Cache:
        return Cache(client)

    @pytest.fixture
    def database(self, sql_url: str, cache: Cache) -> Iterator[Database]:
        database = Database(sql_url, cache=cache)
        create_tables(database)
        yield database
        database.close()

    @pytest.mark.slow
    def test_values_give_way_and_none_is_stale(
        self, database: Database, cache: Cache, client: RedisClient
    ) -> None:
        """Leases, fences and markers give way, too."""
        answered, stale, errors = [0], [], []
        until = time.monotonic() + 60
        is_over = threading.Event()

        def guarded(work: Callable[[], object]) -> Callable[[], None]:
            def repeat() -> None:
                while not is_over.is_set():
                    try:
                        work()
                    except Exception as error:  # noqa: BLE001  the test fails with it
                        errors.append(repr(error))
                        is_over.set()

            return repeat

        def write() -> None:
            change(database, value=answered[0] + 1)
            answered[0] += 1
            evicted = int(client.execute("INFO", "stats")["evicted_keys"])
            if (answered[0] >= 100 and evicted > 5000) or time.monotonic() > until:
                is_over.set()

        def read() -> None:
            least = answered[0]
            found = cache.get_or_load("item:1", lambda: value_of(database), HOUR)
            if found < least:
                stale.append((found, least))

        def use_others() -> None:
            key = f"other:{random.randrange(1000)}"
            assert cache.get_or_load(key, lambda: key * 200, HOUR) == key * 200

        run_threads([guarded(work) for work in (write, read, read, use_others, use_others)])

        assert (errors, stale) == ([], [])
        assert answered[0] >= 100
        assert int(client.execute("INFO", "stats")["evicted_keys"]) > 5000

    def test_a_tag_that_gave_way_takes_its_values_with_it(self, cache: Cache) -> None:
        assert cache.get_or_load("report", lambda: 1, HOUR, tags=["items"]) == 1
        cache.client.delete(keys.tag("items"))

        assert cache.get_or_load("report", lambda: 2, HOUR, tags=["items"]) == 2


class TestSessions:
    """A server without eviction."""

    @pytest.fixture
    def client(self, own_redis: RedisServer, connect: Connect) -> RedisClient:
        return connect(own_redis)

    @pytest.fixture
    def store(self, client: RedisClient) -> SessionStore:
        return SessionStore(client)

    def test_none_is_lost_and_a_new_one_is_refused(
        self, store: SessionStore, client: RedisClient
    ) -> None:
        sessions = [store.create(number, {}) for number in range(200)]
        fill(client)

        with pytest.raises(RedisRefused) as refusal:
            store.create(7, {})

        assert refusal.value.code == "OOM"
        assert [store.load(each.session_id) for each in sessions] == sessions
        assert client.execute("INFO", "stats")["evicted_keys"] == 0

    def test_uses_extend_sessions_and_they_can_end(
        self, store: SessionStore, client: RedisClient
    ) -> None:
        session = store.create(7, {})
        client.expire(keys.session(session.session_id), 10)
        fill(client)

        assert store.load(session.session_id) is not None
        assert client.ttl(keys.session(session.session_id)) > 3000
        assert [each.session_id for each in store.list(7)] == [session.session_id]
        new = store.rotate(session)
        assert store.load(new.session_id) == new
        assert store.revoke(new.session_id)
        assert store.load(new.session_id) is None

    @pytest.mark.parametrize("by", ["address", "user"])
    def test_a_request_with_limits_has_its_session_and_is_counted_in_the_process(
        self, by: str, store: SessionStore, client: RedisClient
    ) -> None:
        admission = Admission(Limiter(client, service="test"), store)
        charge = Charge(RateLimit("few", 2, 60), "someone")
        charges = [charge] if by == "address" else lambda user: [charge] if user else []
        session = store.create(7, {})
        fill(client)

        admitted = [admission.admit(session.session_id, charges) for _ in range(3)]

        assert [each.session for each in admitted] == [session] * 3
        assert [each.allowed for each in admitted] == [True, True, False]
