"""Redis over TLS: what is verified, what the log says, and that every kind of client works."""

import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisRefused,
    RedisSettings,
    RedisUnavailable,
    Script,
    blocking_client,
    check_server,
)
from common.pyportal_common.cache_handlers.client import tls as tls_module
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.certificates import Authority, Certificate, TlsRedisServer
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.raw_servers import Conversation, RawServer

from .load import run_threads
from .waiting import wait_until

Start = Callable[..., TlsRedisServer]  # the fixture `start_tls_redis`
Connect = Callable[..., RedisClient]  # the fixture `connect`, here

LONG = "x" * 200_000  # more than a record of TLS
_PATIENT = {"connect_timeout": 30, "read_timeout": 30, "pool_timeout": 30}


def load(**given: Any) -> RedisSettings:
    return RedisSettings.load(_env_file=None, **_PATIENT | given)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Creates clients with the arguments of RedisSettings.load, which are closed afterwards."""
    made: list[RedisClient] = []

    def make(db: int = 0, **given: Any) -> RedisClient:
        made.append(RedisClient.connect(load(**given), db=db))
        return made[-1]

    yield make
    for client in made:
        client.breaker.close()
        client.close()


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """An authority that the servers and clients do not know."""
    return Authority(tmp_path / "stranger")


class TestClients:
    """Every kind of client, with certificates of both sides."""

    @pytest.fixture
    def server(self, start_tls_redis: Start) -> TlsRedisServer:
        return start_tls_redis(mutual=True)

    @pytest.fixture
    def client(self, server: TlsRedisServer, connect: Connect) -> RedisClient:
        return connect(**server.client_variables())

    def test_commands_of_any_length(self, client: RedisClient) -> None:
        client.set("long", LONG)
        client.set("a", "a")

        assert client.get("long") == LONG
        assert client.read_bytes(("GET", "a"), ("GET", "long")) == [b"a", LONG.encode()]
        assert client.get_with_ttl("a") == ("a", -1)

    def test_pipelines_and_transactions_on_a_watched_key(self, client: RedisClient) -> None:
        with client.pipeline() as pipeline:
            pipeline.set("a", LONG)
            pipeline.get("a")
            assert pipeline.execute() == [True, LONG]
        with client.pipeline() as pipeline:
            pipeline.watch("a")
            assert pipeline.get("a") == LONG
            pipeline.multi()
            pipeline.set("a", "b")
            assert pipeline.execute() == [True]

    def test_scripts(self, client: RedisClient) -> None:
        script = Script.of("return {KEYS[1], ARGV[1]}")

        assert client.run(script, ["a"], [LONG]) == ["a", LONG]
        assert client.run_many([(script, ["a"], ["1"]), (script, ["b"], ["2"])]) == [
            ["a", "1"],
            ["b", "2"],
        ]

    def test_a_command_that_blocks(self, server: TlsRedisServer, client: RedisClient) -> None:
        with closing(blocking_client(load(**server.client_variables()), 0)) as waiting:
            client.execute("ZADD", "hints", 1, "due")

            assert waiting.execute_command("BZPOPMIN", "hints", 20) == (b"hints", b"due", 1.0)

    def test_connect_hooks_and_the_inspection(
        self, server: TlsRedisServer, client: RedisClient
    ) -> None:
        greeted: list[Any] = []
        client.on_connect(lambda send: greeted.append(send("PING")))

        assert client.ping()
        assert client.inspect().code is None
        assert greeted == ["PONG", "PONG"]
        assert check_server(load(**server.client_variables()), 0).refusals == []

    def test_threads_get_their_own_replies(self, client: RedisClient) -> None:
        def use(name: str) -> None:
            client.set(name, name * 20_000)
            for _ in range(20):
                assert client.get(name) == name * 20_000
            done.append(name)

        done: list[str] = []
        run_threads([partial(use, f"{number:02}") for number in range(16)])

        assert len(done) == 16

    def test_a_forked_child_opens_its_own_connection(self, client: RedisClient) -> None:
        client.set("a", "a")
        mine = client.execute("CLIENT ID")

        child = os.fork()
        if child == 0:
            fine = client.get("a") == "a" and client.execute("CLIENT ID") != mine
            os._exit(0 if fine else 1)

        assert os.waitpid(child, 0)[1] == 0
        assert client.get("a") == "a"
        assert client.execute("CLIENT ID") == mine

    def test_a_user_with_a_password_in_a_database_of_its_own(
        self, server: TlsRedisServer, client: RedisClient, connect: Connect
    ) -> None:
        client.execute("ACL", "SETUSER", "portal", "on", ">secret", "~*", "+@all")
        client.execute("ACL", "SETUSER", "default", "off")
        url = server.url.replace("//", "//portal:secret@")

        other = connect(3, **server.client_variables() | {"url": url})
        other.set("a", "a")

        assert other.get("a") == "a"
        assert client.get("a") is None

    def test_a_url_may_name_the_files(self, server: TlsRedisServer, connect: Connect) -> None:
        files = server.client_variables()
        options = (
            f"ssl_ca_certs={files['tls_ca_file']}&ssl_certfile={files['tls_cert_file']}"
            f"&ssl_keyfile={files['tls_key_file']}&ssl_cert_reqs=required"
        )

        assert connect(url=f"{server.url}/0?{options}").ping()


class TestOutages:
    @pytest.fixture
    def server(self, start_tls_redis: Start) -> TlsRedisServer:
        return start_tls_redis()

    @pytest.fixture
    def client(self, server: TlsRedisServer, connect: Connect) -> RedisClient:
        return connect(**server.client_variables())

    def test_a_server_that_comes_back_is_used_again(
        self, server: TlsRedisServer, client: RedisClient
    ) -> None:
        client.set("a", "a")
        server.kill()
        with pytest.raises(RedisUnavailable):
            client.get("a")

        server.start()
        wait_until(lambda: not client.breaker.is_open, seconds=60)

        assert client.get("a") == "a"

    def test_a_hung_server_is_an_outage_for_new_connections_too(
        self, server: TlsRedisServer, connect: Connect
    ) -> None:
        client = connect(**server.client_variables() | {"read_timeout": 0.5})
        server.pause()

        with pytest.raises(RedisUnavailable, match=r"no TLS handshake within 0\.5 s: the server"):
            client.get("a")
        server.resume()

        wait_until(client.ping, seconds=60)

    def test_a_connection_that_the_server_has_closed_is_replaced(
        self, server: TlsRedisServer, client: RedisClient, connect: Connect
    ) -> None:
        mine = client.execute("CLIENT ID")
        other = connect(**server.client_variables())
        other.execute("CLIENT KILL", "ID", mine)
        wait_until(lambda: f"id={mine} " not in other.execute("CLIENT LIST"), seconds=60)
        client._pool._opened[0].read_at = 0.0  # as if its last use were longer ago

        assert client.execute("CLIENT ID") != mine


class TestVerification:
    """A certificate that is not accepted is an outage, whose log line says why."""

    @pytest.fixture
    def log(self, connect: Connect, caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
        """The log line of a client with these settings, which cannot use its server."""

        def line_of(**settings: Any) -> str:
            client = connect(**settings)
            assert not client.ping()
            assert client.breaker.status(client.name).state == "unavailable"
            lines = [line for line in caplog.messages if "is unavailable" in line]
            assert len(lines) == 1
            return lines[0]

        return line_of

    def test_an_expired_certificate(
        self, start_tls_redis: Start, authority: Authority, log: Callable[..., str]
    ) -> None:
        server = start_tls_redis(certificate=authority.issue(expired=True))

        line = log(**server.client_variables(), tls_check_hostname=False)

        assert f"Redis 127.0.0.1:{server.port} is unavailable: CertificateError: " in line
        assert "the server's certificate is not accepted: certificate has expired" in line

    def test_an_authority_that_is_not_in_the_file(
        self, start_tls_redis: Start, stranger: Authority, log: Callable[..., str]
    ) -> None:
        server = start_tls_redis(certificate=stranger.issue())

        line = log(**server.client_variables())

        assert "It is not signed by an authority in REDIS_TLS_CA_FILE" in line

    def test_the_certificate_of_another_host(
        self, start_tls_redis: Start, authority: Authority, log: Callable[..., str]
    ) -> None:
        server = start_tls_redis(certificate=authority.issue("redis.example"))

        line = log(**server.client_variables())

        assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in line

    def test_the_certificate_of_another_host_is_accepted_without_the_check(
        self, start_tls_redis: Start, authority: Authority, connect: Connect
    ) -> None:
        server = start_tls_redis(certificate=authority.issue("redis.example"))

        client = connect(**server.client_variables(), tls_check_hostname=False)

        assert client.ping()

    @pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
    def test_a_client_without_a_certificate(
        self, version: str, start_tls_redis: Start, authority: Authority, log: Callable[..., str]
    ) -> None:
        server = start_tls_redis(mutual=True, options={"tls-protocols": version})

        line = log(url=server.url, **authority.variables())

        if version == "TLSv1.3":
            assert "does not accept the client's certificate: certificate required" in line
            assert "See REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE" in line
        else:  # the server does not say why
            assert "the TLS handshake failed: sslv3 alert handshake failure" in line

    @pytest.mark.parametrize(
        ("is_expired", "reason"), [(False, "unknown ca"), (True, "certificate expired")]
    )
    def test_a_client_with_a_certificate_that_the_server_does_not_accept(
        self,
        start_tls_redis: Start,
        authority: Authority,
        stranger: Authority,
        log: Callable[..., str],
        is_expired: bool,
        reason: str,
    ) -> None:
        server = start_tls_redis(mutual=True)
        issuer = authority if is_expired else stranger
        certificate = issuer.issue("client", expired=is_expired)

        line = log(url=server.url, **authority.variables(certificate))

        assert f"does not accept the client's certificate: {reason}" in line

    def test_a_server_without_tls(
        self, redis_server: RedisServer, authority: Authority, log: Callable[..., str]
    ) -> None:
        line = log(url=redis_server.url, **authority.variables(), read_timeout=0.3)

        assert "does not speak TLS on this port" in line

    def test_a_client_without_tls(self, start_tls_redis: Start, log: Callable[..., str]) -> None:
        server = start_tls_redis()

        line = log(url=server.url.replace("rediss", "redis"))

        assert "ConnectionError" in line

    def test_the_systems_authorities_are_trusted_without_a_file_only(
        self,
        start_tls_redis: Start,
        authority: Authority,
        stranger: Authority,
        connect: Connect,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tls_module._read.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        server = start_tls_redis()

        assert connect(url=server.url).ping()
        assert not connect(url=server.url, tls_ca_file=stranger.file).ping()
        tls_module._read.cache_clear()

    def test_the_reason_is_in_the_health_check(
        self, start_tls_redis: Start, stranger: Authority, connect: Connect
    ) -> None:
        server = start_tls_redis()
        client = connect(url=server.url, tls_ca_file=stranger.file)

        assert client.check().reason == "certificate"

    def test_renewed_files_are_read_without_a_restart(
        self, start_tls_redis: Start, stranger: Authority, connect: Connect
    ) -> None:
        server = start_tls_redis(mutual=True)
        files = server.client_variables()
        certificate = stranger.issue("client")
        client = connect(
            **files | {"tls_cert_file": certificate.file, "tls_key_file": certificate.key}
        )
        assert not client.ping()

        for name, file in (("cert", certificate.file), ("key", certificate.key)):
            renewed = file.with_suffix(".new")
            shutil.copy(files[f"tls_{name}_file"], renewed)
            renewed.replace(file)

        wait_until(lambda: not client.breaker.is_open, seconds=60)
        assert client.ping()

    def test_versions_before_1_2_are_not_spoken(self, authority: Authority) -> None:
        encryption = load(**authority.variables()).encryption

        assert encryption is not None
        assert encryption.context().minimum_version is ssl.TLSVersion.TLSv1_2

    def test_an_error_that_ends_every_connection_is_named(
        self, serve: Callable[..., RawServer], authority: Authority, connect: Connect
    ) -> None:
        def deny(client: Conversation) -> None:
            client.hear_line()
            client.say(b"-DENIED Redis is running in protected mode\r\n")

        server = serve(deny, tls=_context(authority.issue()))
        url = f"rediss://127.0.0.1:{server.port}"

        with pytest.raises(RedisRefused, match="DENIED Redis is running in protected mode"):
            connect(url=url, **authority.variables()).get("a")

    def test_a_server_that_closes_the_connection_says_nothing_about_a_certificate(
        self, serve: Callable[..., RawServer], authority: Authority, log: Callable[..., str]
    ) -> None:
        server = serve(lambda _: None, tls=_context(authority.issue()))

        line = log(url=f"rediss://127.0.0.1:{server.port}", **authority.variables())

        assert "ConnectionError: the server closed the connection in the TLS handshake" in line


def _context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.file, certificate.key)
    return context


class TestIdleConnections:
    """What can be read from a connection that nobody uses decides whether it can be used."""

    def test_an_unread_reply_ends_the_connection(
        self, start_tls_redis: Start, connect: Connect
    ) -> None:
        client = connect(**start_tls_redis().client_variables(), max_connections=1)
        client.set("a", "wrong")
        mine = client.execute("CLIENT ID")
        connection = client._pool.get_connection()
        connection.send_command("GET", "a")
        wait_until(connection.can_read, seconds=60)
        client._pool.release(connection)

        assert client.get("b") is None
        assert client.execute("CLIENT ID") != mine

    def test_new_keys_of_tls_1_3_do_not_end_the_connection(
        self, authority: Authority, connect: Connect
    ) -> None:
        with _Answering(authority) as server:
            client = connect(url=server.url, **authority.variables(), max_connections=1)
            connection = client._pool.get_connection()
            before = connection._sock
            server.renew_keys()
            wait_until(connection.can_read, seconds=60)
            client._pool.release(connection)

            again = client._pool.get_connection()

            assert again._sock is before
            client._pool.release(again)
            assert client.ping()
            assert client._pool._opened[0]._sock is before
            assert client.breaker.is_open is False


class _Answering:
    """`openssl s_server`, which answers PONG to every PING, and sends new keys when told to."""

    def __init__(self, authority: Authority) -> None:
        program = shutil.which("openssl")
        if program is None:
            missing("openssl")
        certificate = authority.issue()
        port = free_port()
        self.url = f"rediss://127.0.0.1:{port}"
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [
                program, "s_server", "-accept", f"127.0.0.1:{port}", "-tls1_3",
                "-cert", certificate.file, "-key", certificate.key,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._accepts = threading.Event()

    def __enter__(self) -> Self:
        self._reader.start()
        assert self._accepts.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def renew_keys(self) -> None:
        """Send a KeyUpdate."""
        self._type(b"k\n")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(b"ACCEPT"):
                self._accepts.set()
            elif line.rstrip().endswith(b"PING"):
                self._type(b"+PONG\r\n")

    def _type(self, text: bytes) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(text)
