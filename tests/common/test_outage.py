"""What callers get while a real Redis server is killed, paused and restarted."""

import logging
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import redis

from common.pyportal_common.cache_handlers import (
    Admission,
    Breaker,
    Cache,
    Charge,
    Limiter,
    Policy,
    RateLimit,
    RedisClient,
    RedisUnavailable,
    Revocation,
    SessionStore,
)
from common.pyportal_common.db import Database, IdempotencyKeys, revoke_sessions
from common.pyportal_common.db.idempotency import KeptResponse, KeyedRequest
from common.pyportal_common.redis_server import RedisServer, free_port

from .items import change, create_tables, drop_tables, value_of
from .load import ROOT, Connect
from .test_invalidations import last_is_done
from .waiting import wait_until


@pytest.fixture
def client(own_client: RedisClient) -> RedisClient:
    """A connected client of a server that the test may kill."""
    own_client.set("k", "v")
    return own_client


def seconds_of(call: Callable[[], object]) -> float:
    start = time.monotonic()
    with pytest.raises(RedisUnavailable):
        call()
    return time.monotonic() - start


def pipelined_get(client: RedisClient) -> list[object]:
    with client.pipeline() as pipeline:
        pipeline.get("k")
        return pipeline.execute()


def every_method(client: RedisClient) -> list[Callable[[], object]]:
    return [
        lambda: client.get("k"),
        lambda: client.set("k", "v"),
        lambda: client.get_many(["k"]),
        lambda: client.set_many({"k": "v"}),
        lambda: client.get_json("k"),
        lambda: client.set_json("k", {}),
        lambda: client.delete("k"),
        lambda: client.exists("k"),
        lambda: client.expire("k", 1),
        lambda: client.ttl("k"),
        lambda: list(client.scan()),
        lambda: client.hset("k", "f", "v"),
        lambda: client.hget("k", "f"),
        lambda: client.hgetall("k"),
        lambda: client.hdel("k", "f"),
        lambda: client.delete_many(["k"]),
        lambda: client.incr("k", ttl=60),
        lambda: client.decr("k", ttl=60),
        lambda: client.lpush("k", "v", ttl=60),
        lambda: client.rpush("k", "v", ttl=60),
        lambda: client.lrange("k"),
        lambda: client.lpop("k"),
        lambda: client.rpop("k"),
        lambda: client.llen("k"),
        lambda: pipelined_get(client),
    ]


class TestRefused:
    def test_the_first_call_and_the_next_fail_fast(
        self, client: RedisClient, own_redis: RedisServer, connect: Connect
    ) -> None:
        others = [connect(own_redis) for _ in range(2)]
        assert all(other.ping() for other in others)
        own_redis.kill()

        firsts = [seconds_of(partial(each.get, "k")) for each in (client, *others)]
        assert min(firsts) < 0.3  # a machine that stalls delays one of them
        assert statistics.median(seconds_of(lambda: client.get("k")) for _ in range(101)) < 0.005

    def test_a_server_that_never_ran(self, connect: Connect, tmp_path: Path) -> None:
        nothing = RedisServer(tmp_path, tmp_path, port=free_port())

        assert min(seconds_of(lambda: connect(nothing).get("k")) for _ in range(3)) < 0.3


class TestHung:
    def test_the_first_timeout_opens_the_breaker(
        self, client: RedisClient, own_redis: RedisServer, connect: Connect
    ) -> None:
        others = [connect(own_redis) for _ in range(2)]
        assert all(other.ping() for other in others)
        own_redis.pause()

        firsts = [seconds_of(partial(each.get, "k")) for each in (client, *others)]
        assert 0.4 < min(firsts) < 0.9
        assert client.breaker.is_open
        assert statistics.median(seconds_of(lambda: client.get("k")) for _ in range(101)) < 0.005

    def test_a_new_connection_has_a_timeout_too(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        own_redis.pause()

        assert min(seconds_of(lambda: connect(own_redis, db=2).get("k")) for _ in range(3)) < 0.9

    def test_threads_wait_at_the_same_time(
        self, client: RedisClient, own_redis: RedisServer
    ) -> None:
        own_redis.pause()

        with ThreadPoolExecutor(16) as pool:
            durations = list(pool.map(lambda _: seconds_of(lambda: client.get("k")), range(16)))

        assert max(durations) < 4  # of eight seconds one after the other

    def test_a_watch_releases_its_connection(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis, max_connections=2)
        for _ in range(3):
            with pytest.raises(RedisUnavailable), client.pipeline() as pipeline:  # noqa: PT012
                pipeline.watch("k")
                own_redis.pause()
                pipeline.get("k")
            own_redis.resume()
            wait_until(lambda: not client.breaker.is_open)

        with client.pipeline() as pipeline:
            pipeline.watch("k")
            assert client.get("k") is None

    def test_a_busy_script_is_an_outage_until_it_ends(
        self, own_redis: RedisServer, connect: Connect
    ) -> None:
        client = connect(own_redis, read_timeout=10)
        other = connect(own_redis, read_timeout=10)
        client.execute("CONFIG SET", "lua-time-limit", "50")

        with ThreadPoolExecutor(1) as pool:
            pool.submit(other.execute, "EVAL", "while true do end", 0)
            time.sleep(0.3)

            with pytest.raises(RedisUnavailable, match="BUSY"):
                client.get("k")

            assert client.breaker.is_open
            redis.Redis(port=own_redis.port).script_kill()
        wait_until(lambda: not client.breaker.is_open)


class TestRecovery:
    @pytest.mark.parametrize(
        ("fail", "recover"),
        [(RedisServer.kill, RedisServer.start), (RedisServer.pause, RedisServer.resume)],
        ids=["killed", "hung"],
    )
    def test_the_probe_closes_the_breaker_without_a_request(
        self,
        client: RedisClient,
        own_redis: RedisServer,
        fail: Callable[[RedisServer], None],
        recover: Callable[[RedisServer], None],
    ) -> None:
        fail(own_redis)
        seconds_of(lambda: client.get("k"))
        time.sleep(0.7)  # the probe fails at least once
        recover(own_redis)

        wait_until(lambda: not client.breaker.is_open, seconds=2)

        assert client.get("k") == "v"

    def test_an_outage_writes_two_lines_to_the_log(
        self, client: RedisClient, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        own_redis.kill()
        for _ in range(50):
            seconds_of(lambda: client.get("k"))
        own_redis.start()
        wait_until(lambda: "is back after" in caplog.text)

        lines = [record.message for record in caplog.records if "redis" in record.message.lower()]

        assert len(lines) == 2
        assert "is unavailable" in lines[0]
        assert "rate limits are counted in this process" in lines[0]
        assert "is back after" in lines[1]

    def test_a_restarted_server_is_used_without_an_error(
        self, client: RedisClient, own_redis: RedisServer
    ) -> None:
        """The connections in the pool are dead, and the client notices before it sends."""
        own_redis.kill()
        own_redis.start()

        assert client.get("k") == "v"
        assert client.breaker.is_open is False

    def test_writes_that_left_the_servers_buffer_survive_sigkill(
        self, client: RedisClient, own_redis: RedisServer
    ) -> None:
        """With appendfsync everysec usually before the reply, and always within 2 s."""
        for n in range(500):
            client.set(f"k{n}", n)
        wait_until(lambda: client.execute("INFO", "persistence")["aof_buffer_length"] == 0)
        own_redis.kill()
        own_redis.start()

        assert len(client.get_many([f"k{n}" for n in range(500)])) == 500


MakeBreaker = Callable[[Callable[[], object]], Breaker]


def fails() -> None:
    raise RedisUnavailable("made for this test")


class TestBreaker:
    @pytest.fixture
    def make(self) -> Iterator[MakeBreaker]:
        """Makes a breaker that has just opened: make(probe)."""
        made: list[Breaker] = []

        def make(probe: Callable[[], object]) -> Breaker:
            made.append(Breaker("redis:6379", probe, interval=0.1))
            made[-1].trip(ConnectionError("an outage"))
            return made[-1]

        yield make
        for breaker in made:
            breaker.close()

    def test_a_probe_that_raises_is_repeated(self, make: MakeBreaker) -> None:
        probe = Mock(side_effect=[TypeError("an error in the probe"), TypeError("again"), True])

        breaker = make(probe)

        assert breaker.is_open
        wait_until(lambda: not breaker.is_open)

    def test_after_a_relapse_the_probe_pauses(self, make: MakeBreaker) -> None:
        """A server may answer PING and fail at other commands."""
        breaker = make(lambda: True)
        wait_until(lambda: not breaker.is_open)

        breaker.trip(ConnectionError("again"))

        time.sleep(0.5)
        assert breaker.is_open
        wait_until(lambda: not breaker.is_open)

    def test_no_request_probes(self, redis_server: RedisServer, make: MakeBreaker) -> None:
        """While the breaker is open nothing is sent, although Redis is available."""
        client = RedisClient(
            redis.Redis(port=redis_server.port, decode_responses=True), make(fails)
        )

        assert min(seconds_of(lambda: client.get("k")) for _ in range(3)) < 0.1
        assert client.ping() is False

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # about fork and threads
    def test_a_forked_child_starts_with_a_closed_breaker(self, make: MakeBreaker) -> None:
        """A fork does not copy the probing thread: the child's breaker would stay open."""
        breaker = make(fails)

        child = os.fork()
        if child == 0:
            os._exit(int(breaker.is_open))

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert breaker.is_open


class TestRefusedWrites:
    def test_full_memory_skips_fills_and_still_reads_and_invalidates(
        self, client: RedisClient
    ) -> None:
        cache = Cache(client)
        cache.put("k", {"a": 1}, ttl=60)
        client.execute("CONFIG SET", "maxmemory", "1")

        assert cache.put("other", {"a": 2}, ttl=60) is False
        assert cache.get("k") == {"a": 1}
        assert cache.invalidate("k") == 1
        assert client.breaker.is_open is False

    @pytest.mark.parametrize("size", [1, 3])
    def test_a_server_with_too_few_replicas_skips_fills_and_reveals_no_data(
        self, client: RedisClient, size: int
    ) -> None:
        client.execute("CONFIG SET", "min-replicas-to-write", "1")
        values = {f"k{n}": {"email": "john@example.com"} for n in range(size)}

        assert Cache(client).put_many(values, ttl=60) is False
        with pytest.raises(RedisUnavailable) as caught:
            client.set_many({"k": "john@example.com"})

        assert "john" not in str(caught.value)
        assert client.breaker.is_open is False


def test_a_full_pool_skips_fills(redis_server: RedisServer, connect: Connect) -> None:
    client = connect(redis_server, max_connections=1, pool_timeout=0.01)
    with client.pipeline() as pipeline:
        pipeline.watch("k")  # holds the only connection

        assert Cache(client).put("k", 1, ttl=60) is False


def test_a_loading_server_counts_as_unavailable(client: RedisClient) -> None:
    loading = redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory")

    with pytest.raises(RedisUnavailable):
        client.guard(Mock(side_effect=loading))


class Layer:
    """Everything that uses one Redis server. The server is killed after `prepare`."""

    def __init__(self, client: RedisClient, url: str) -> None:
        self.client = client
        self.cache = Cache(client)
        self.sessions = SessionStore(client)
        self.limiter = Limiter(client)
        self.database = Database(url, cache=self.cache, sessions=self.sessions)

    def prepare(self) -> None:
        create_tables(self.database)
        self.cache.put("k", 1, ttl=60)
        self.session = self.sessions.create(7, {})
        self.decision = self.limiter.hit(Charge(PER_MINUTE, "refunded"))

    def close(self) -> None:
        drop_tables(self.database)
        self.database.close()


PER_MINUTE = RateLimit("per-minute", 2, 60)
CLOSED = RateLimit("closed", 2, 60, on_error="closed")
OPEN = RateLimit("open", 2, 60, on_error="open")


def raises(*calls: Callable[[], Any]) -> None:
    for call in calls:
        with pytest.raises(RedisUnavailable):
            call()


def allowed(hit: Callable[[], Any]) -> list[bool]:
    return [hit().allowed for _ in range(3)]


def client_raises(layer: Layer) -> None:
    raises(*every_method(layer.client))
    assert layer.client.ping() is False


def cache_misses(layer: Layer) -> None:
    assert layer.cache.get("k", "a miss") == "a miss"
    assert layer.cache.get_or_load("k", lambda: "from SQL", Policy(ttl=60)) == "from SQL"


def fill_is_skipped(layer: Layer) -> None:
    assert layer.cache.put("k", 2, ttl=60) is False


def commit_is_recorded(layer: Layer) -> None:
    change(layer.database, value=2)
    assert value_of(layer.database) == 2
    assert not last_is_done(layer.database)


def every_session_method_raises(layer: Layer) -> None:
    sessions, session = layer.sessions, layer.session
    raises(
        lambda: sessions.create(7, {}),
        lambda: sessions.load(session.session_id),
        lambda: sessions.save(session),
        lambda: sessions.refresh(session.session_id),
        lambda: sessions.rotate(session),
        lambda: sessions.revoke(session.session_id),
        lambda: sessions.supersede(session.session_id),
        lambda: sessions.is_superseded(session.session_id),
        lambda: sessions.revoke_all(7, auth_epoch=1),
        lambda: sessions.list(7),
    )


def revocation_is_recorded(layer: Layer) -> None:
    with pytest.raises(RedisUnavailable), layer.database.begin() as tx:
        revoke_sessions(tx, Revocation.of(7, 1))
    assert not last_is_done(layer.database)


def local_limit_counts(layer: Layer) -> None:
    assert allowed(lambda: layer.limiter.hit(Charge(PER_MINUTE, "a"))) == [True, True, False]
    both = (Charge(PER_MINUTE, "b"), Charge(OPEN, "c"))
    assert allowed(lambda: layer.limiter.hit(*both)) == [True, True, False]


def open_limit_allows(layer: Layer) -> None:
    assert allowed(lambda: layer.limiter.hit(Charge(OPEN, "a"))) == [True, True, True]


def closed_limit_raises(layer: Layer) -> None:
    raises(
        lambda: layer.limiter.hit(Charge(CLOSED, "a")),
        lambda: layer.limiter.hit(Charge(PER_MINUTE, "a"), Charge(CLOSED, "b")),
    )


def refund_is_skipped(layer: Layer) -> None:
    layer.limiter.refund(layer.decision)


def admission_raises_and_counts_nothing(layer: Layer) -> None:
    admission = Admission(layer.limiter, layer.sessions)
    charge = Charge(PER_MINUTE, "a")
    raises(*[lambda: admission.admit(layer.session.session_id, [charge])] * 3)
    assert allowed(lambda: layer.limiter.hit(charge)) == [True, True, False]


def idempotency_key_is_kept(layer: Layer) -> None:
    keys, request = IdempotencyKeys(layer.database), KeyedRequest("things", "digest", "print")
    keys.keep(request, KeptResponse(404, "text/plain", None, "", None))
    assert keys.find(request) is not None


USES: dict[tuple[str, str], Callable[[Layer], object]] = {
    ("client", "`RedisUnavailable`"): client_raises,
    ("cache read", "a miss"): cache_misses,
    ("cache fill", "skipped"): fill_is_skipped,
    ("invalidation by a commit", "recorded"): commit_is_recorded,
    ("invalidation by hand", "`RedisUnavailable`"): lambda layer: raises(
        lambda: layer.cache.invalidate("k")
    ),
    ("session", "`RedisUnavailable`"): every_session_method_raises,
    ("session revoked by a commit", "recorded"): revocation_is_recorded,
    ('rate limit, `on_error="local"`', "counted in the process"): local_limit_counts,
    ('rate limit, `on_error="open"`', "not limited"): open_limit_allows,
    ('rate limit, `on_error="closed"`', "`RedisUnavailable`"): closed_limit_raises,
    ("refund of a rate limit", "skipped"): refund_is_skipped,
    ("admission", "`RedisUnavailable`"): admission_raises_and_counts_nothing,
    ("idempotency key", "unaffected"): idempotency_key_is_kept,
}


class TestTableOfUses:
    """The table in docs/redis.md, held against the code."""

    def test_the_table_has_exactly_these_uses_and_results(self) -> None:
        page = (ROOT / "docs" / "redis.md").read_text("utf-8")
        table = page.split("| use | result | in detail |\n|---|---|---|\n")[1].split("\n\n")[0]

        rows = re.findall(r"^\| (.+?) \| (.+?) \|", table, re.MULTILINE)

        assert rows == list(USES)

    @pytest.mark.parametrize(("use", "result"), USES)
    def test_a_use_has_its_result(
        self, use: str, result: str, client: RedisClient, own_redis: RedisServer, sql_url: str
    ) -> None:
        layer = Layer(client, sql_url)
        layer.prepare()
        own_redis.kill()

        USES[use, result](layer)

        layer.close()
