"""Which server is the master, by sentinels that answer, hang, contradict each other or are gone."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisSettings,
    RedisUnavailable,
    blocking_client,
    get_redis_client,
)
from common.pyportal_common.cache_handlers.client.sentinel import Master
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.plugin import settings_for
from common.pyportal_common.testing.raw_servers import Conversation, RawServer
from common.pyportal_common.testing.sentinel import SentinelSetup

from ..waiting import wait_until

Serve = Callable[..., RawServer]
LONG = 60.0  # seconds


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


class StubSentinel:
    """A sentinel that names a port of 127.0.0.1 and an epoch, and that may go away."""

    def __init__(self, serve: Serve, port: int, epoch: int) -> None:
        self.names = port
        self.epoch = epoch
        self.is_gone = False
        self.port = serve(self._talk).port

    def _talk(self, conversation: Conversation) -> None:
        while (words := _command(conversation)) and not self.is_gone:
            if words[1] == b"GET-MASTER-ADDR-BY-NAME":
                conversation.say(_array("127.0.0.1", str(self.names)))
            else:
                conversation.say(_array("flags", "master", "config-epoch", str(self.epoch)))


Start = Callable[[int, int], StubSentinel]
Find = Callable[..., Master]


@pytest.fixture
def sentinel(serve: Serve) -> Start:
    return partial(StubSentinel, serve)


@pytest.fixture
def finder(serve: Serve) -> Iterator[Find]:  # noqa: ARG001  it ends before the servers
    """Makes what a client of these sentinels finds the master with."""
    made: list[Master] = []

    def make(
        *sentinels: StubSentinel | RawServer,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = 20.0,
    ) -> Master:
        settings = settings_by(*sentinels)
        assert settings.by_sentinel is not None
        options = settings.sentinel_options() | {"socket_timeout": timeout}
        made.append(Master(settings.by_sentinel, options, clock=clock))
        return made[-1]

    yield make
    for master in made:
        master.close()


def settings_by(*sentinels: StubSentinel | RawServer) -> RedisSettings:
    addresses = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    return RedisSettings.load(url=f"redis+sentinel://{addresses}/mymaster", _env_file=None)


def _command(conversation: Conversation) -> list[bytes]:
    head = conversation.hear_line()
    count = int(head[1:]) if head else 0
    return [(conversation.hear_line(), conversation.hear_line().strip())[1] for _ in range(count)]


def _array(*texts: str) -> bytes:
    return b"*%d\r\n" % len(texts) + b"".join(
        b"$%d\r\n%s\r\n" % (len(text), text.encode()) for text in texts
    )


def why_unavailable(client: RedisClient, expected: str) -> bool:
    """Wait until the client says this. A sentinel of a busy machine may not answer in time."""

    def says_so() -> bool:
        try:
            client.inspect()
        except RedisUnavailable as outage:
            return expected in str(outage)
        return False

    wait_until(says_so, seconds=60)
    return True


class TestAnswers:
    def test_the_newest_one_counts(self, sentinel: Start, finder: Find) -> None:
        """One that is cut off from the others names the server that was the master before."""
        cut_off, others = sentinel(1, 4), [sentinel(2, 5) for _ in range(2)]

        assert finder(cut_off, *others).find() == ("127.0.0.1", 2)

    def test_an_older_one_does_not_count_while_only_a_minority_gives_it(
        self, sentinel: Start, finder: Find
    ) -> None:
        clock = Clock()
        old, others = sentinel(1, 4), [sentinel(2, 5) for _ in range(2)]
        master = finder(old, *others, clock=clock)
        assert master.find() == ("127.0.0.1", 2)

        for each in others:
            each.is_gone = True
        clock.now += LONG

        assert master.find() == ("127.0.0.1", 2)

    def test_an_older_one_counts_if_most_give_it(self, sentinel: Start, finder: Find) -> None:
        """The sentinels were set up again, and count from the beginning."""
        clock = Clock()
        newest, others = sentinel(1, 4), [sentinel(2, 0) for _ in range(2)]
        master = finder(newest, *others, clock=clock)
        assert master.find() == ("127.0.0.1", 1)

        newest.is_gone = True
        clock.now += LONG

        assert master.find() == ("127.0.0.1", 2)

    def test_it_is_remembered_for_half_a_second(self, sentinel: Start, finder: Find) -> None:
        clock = Clock()
        only = sentinel(1, 0)
        master = finder(only, clock=clock)
        assert master.find() == ("127.0.0.1", 1)
        only.names = 2

        clock.now += 0.4
        assert master.find() == ("127.0.0.1", 1)
        clock.now += 0.2
        assert master.find() == ("127.0.0.1", 2)

    def test_one_that_cannot_be_used_is_not_remembered(self, sentinel: Start, finder: Find) -> None:
        only = sentinel(1, 0)
        master = finder(only, clock=Clock())
        assert master.find() == ("127.0.0.1", 1)
        only.names = 2

        master.forget()

        assert master.find() == ("127.0.0.1", 2)

    def test_the_same_server_after_a_failover_and_back_is_a_move(
        self, sentinel: Start, finder: Find
    ) -> None:
        clock = Clock()
        only = sentinel(1, 4)
        master = finder(only, clock=clock)
        moves: list[int] = []
        master.on_move(lambda: moves.append(master.epoch))
        master.confirm()

        only.epoch = 6
        clock.now += LONG
        master.confirm()

        assert moves == [6]


class TestNoAnswer:
    @pytest.fixture
    def hung(self, serve: Serve) -> RawServer:
        return serve(Conversation.wait)

    def test_the_others_are_not_kept_waiting(
        self, hung: RawServer, sentinel: Start, finder: Find
    ) -> None:
        clock = Clock()
        master = finder(hung, sentinel(1, 0), clock=clock, timeout=0.1)
        assert master.find() == ("127.0.0.1", 1)

        for _ in range(4):
            clock.now += 1.0
            assert master.find() == ("127.0.0.1", 1)
        assert hung.met == 1

        def is_asked_again() -> bool:
            clock.now += 5.1
            master.find()
            return hung.met == 2

        wait_until(is_asked_again)

    def test_the_last_known_master_is_used(self, sentinel: Start, finder: Find) -> None:
        clock = Clock()
        only = sentinel(1, 0)
        master = finder(only, clock=clock)
        assert master.find() == ("127.0.0.1", 1)

        only.is_gone = True
        clock.now += LONG

        assert master.find() == ("127.0.0.1", 1)

    def test_it_is_an_outage_that_says_so_if_none_ever_answered(
        self, sentinel: Start, finder: Find
    ) -> None:
        gone = sentinel(1, 0)
        gone.is_gone = True

        with pytest.raises(redis.ConnectionError, match="no sentinel answered: "):
            finder(gone).find()

    def test_all_are_asked_at_the_same_time(self, serve: Serve, finder: Find) -> None:
        """One after the other would take more than three minutes."""
        began = time.monotonic()
        hung = [serve(Conversation.wait) for _ in range(10)]

        with pytest.raises(redis.ConnectionError, match=r"no sentinel answered: .* did not answer"):
            finder(*hung, timeout=20.0).find()

        assert time.monotonic() - began < LONG
        wait_until(lambda: all(server.met == 1 for server in hung))

    def test_one_that_sends_byte_by_byte_delays_no_other_one(
        self, serve: Serve, sentinel: Start, finder: Find
    ) -> None:
        def drip(conversation: Conversation) -> None:
            for byte in _array("127.0.0.1", "9") * 100:
                conversation.say(bytes([byte]))
                time.sleep(0.1)

        clock = Clock()
        master = finder(serve(drip), sentinel(1, 0), clock=clock)

        for _ in range(20):
            assert master.find() == ("127.0.0.1", 1)
            clock.now += LONG

    def test_a_name_that_is_looked_up_slowly_delays_no_use(
        self, sentinel: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        over = threading.Event()
        look_up = socket.getaddrinfo

        def look_up_slowly(host: Any, *more: Any, **others: Any) -> Any:
            if host == "slow.example":
                over.wait(LONG)
                raise socket.gaierror(socket.EAI_AGAIN, "made for this test")
            return look_up(host, *more, **others)

        monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
        url = f"redis+sentinel://slow.example,127.0.0.1:{sentinel(1, 0).port}/mymaster"
        settings = RedisSettings.load(url=url, _env_file=None)
        assert settings.by_sentinel is not None
        clock = Clock()
        with closing(Master(settings.by_sentinel, settings.sentinel_options(), clock=clock)) as one:
            for _ in range(20):
                assert one.find() == ("127.0.0.1", 1)
                clock.now += LONG
        over.set()


ODD_REPLIES = {
    "a status": (b"+OK\r\n",) * 2,
    "a number": (b":5\r\n",) * 2,
    "no state": (_array("127.0.0.1", "1"), b"*-1\r\n"),
    "nothing": (b"*0\r\n",) * 2,
    "a port that is none": (_array("127.0.0.1", "abc"), _array("config-epoch", "1")),
    "a port that is too large": (_array("127.0.0.1", "99999"), _array("config-epoch", "1")),
    "no port": (_array("127.0.0.1"), _array("config-epoch", "1")),
    "a host that is none": (_array("a..b", "1"), _array("config-epoch", "1")),
    "no epoch": (_array("127.0.0.1", "1"), _array("flags", "master")),
    "half a pair": (_array("127.0.0.1", "1"), _array("config-epoch")),
    "an epoch that is no number": (_array("127.0.0.1", "1"), _array("config-epoch", "abc")),
    "no UTF-8": (b"*2\r\n$2\r\n\xff\xfe\r\n$1\r\n1\r\n",) * 2,
    "lists of lists": (b"*2\r\n*0\r\n*0\r\n",) * 2,
    "no protocol at all": (b"HTTP/1.1 400 Bad Request\r\n\r\n",) * 2,
    "an error": (b"-ERR unknown command 'SENTINEL'\r\n",) * 2,
}


@pytest.mark.parametrize("replies", ODD_REPLIES.values(), ids=ODD_REPLIES)
class TestOddAnswers:
    @pytest.fixture
    def odd(self, serve: Serve, replies: tuple[bytes, bytes]) -> RawServer:
        def talk(conversation: Conversation) -> None:
            while words := _command(conversation):
                conversation.say(replies[words[1] == b"MASTER"])

        return serve(talk)

    def test_the_others_count(self, odd: RawServer, sentinel: Start, finder: Find) -> None:
        clock = Clock()
        master = finder(odd, sentinel(1, 0), clock=clock)

        for _ in range(3):
            master.confirm()
            assert master.find() == ("127.0.0.1", 1)
            clock.now += LONG

    def test_alone_it_is_an_outage(self, odd: RawServer, finder: Find) -> None:
        master = finder(odd)

        master.confirm()
        with pytest.raises(redis.ConnectionError, match="no sentinel answered: "):
            master.find()


class TestConnections:
    def test_a_replica_is_refused_as_an_outage(
        self, sentinel: Start, start_redis: Callable[..., RedisServer]
    ) -> None:
        primary, replica = start_redis(), start_redis()
        with closing(redis.Redis(port=replica.port)) as admin:
            admin.replicaof("127.0.0.1", str(primary.port))
        settings = settings_by(sentinel(replica.port, 0))
        client = RedisClient.connect(settings, db=0)
        blocking = blocking_client(settings, 0)

        with pytest.raises(RedisUnavailable):
            client.get("a")
        assert client.breaker.is_open
        assert why_unavailable(client, f"127.0.0.1:{replica.port} is a replica")
        with pytest.raises(redis.ConnectionError):
            blocking.get("a")
        client.breaker.close()
        client.close()
        blocking.connection_pool.disconnect()

    def test_a_name_that_no_sentinel_knows_is_an_outage_that_says_so(
        self, sentinel_setup: SentinelSetup
    ) -> None:
        url = sentinel_setup.url.replace("mymaster", "other")
        client = RedisClient.connect(RedisSettings.load(url=url, _env_file=None), db=0)

        assert why_unavailable(client, "no sentinel knows a master 'other'")

        client.breaker.close()
        client.close()

    def test_all_databases_share_what_finds_the_master(self, sentinel_setup: SentinelSetup) -> None:
        settings = settings_for(sentinel_setup)
        clients = [get_redis_client(db, settings=settings) for db in range(3)]

        for client in clients:
            client.set("a", str(client.db))

        assert [client.get("a") for client in clients] == ["0", "1", "2"]
        assert len({client._pool.master for client in clients}) == 1


@pytest.mark.parametrize("given", ["wrong", None])
def test_a_wrong_password_of_the_sentinels_is_an_outage_that_names_the_variable(
    redis_binary: Path, tmp_path: Path, given: str | None
) -> None:
    with SentinelSetup(redis_binary, tmp_path, sentinel_password="secret") as setup:
        settings = RedisSettings.load(url=setup.url, sentinel_password=given, _env_file=None)
        client = RedisClient.connect(settings, db=0)

        assert why_unavailable(client, "see REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD")

        client.breaker.close()
        client.close()
