"""Requests to servers that answer, that do not, and that do so for ever."""

import itertools
import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from common.pyportal_common.outbound import HttpResponse, RequestFailed, request
from common.pyportal_common.outbound import http as http_client
from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.raw_servers import Conversation, RawServer

Talk = Callable[[Conversation], None]
Serve = Callable[..., RawServer]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
KEPT = 16 * 1024


def answering(*pieces: bytes) -> Talk:
    """Hears the request, and says this."""

    def talk(client: Conversation) -> None:
        client.hear()
        for piece in pieces:
            client.say(piece)

    return talk


def dripping(said: bytes, drops: bytes) -> Talk:
    """Says something at once, and then a byte every fifth of a second, over and over."""

    def talk(client: Conversation) -> None:
        client.hear()
        client.say(said)
        client.say_slowly((bytes([byte]) for byte in itertools.cycle(drops)), every=0.2)

    return talk


def silent(client: Conversation) -> None:
    client.wait()


def resetting(client: Conversation) -> None:
    client.hear()
    client.reset()


class TestAnswers:
    def test_status_headers_and_body_come_back(self, serve: Serve) -> None:
        head = b"HTTP/1.1 201 Created\r\nContent-Length: 8\r\nX-One: A b\r\n\r\n"
        server = serve(answering(head + b'{"a": 1}'))

        answer = request("GET", server.url)

        assert answer == HttpResponse(201, {"content-length": "8", "x-one": "A b"}, b'{"a": 1}')
        assert answer.json() == {"a": 1}

    def test_the_request_is_what_was_asked_for(self, serve: Serve) -> None:
        heard: list[bytes] = []

        def talk(client: Conversation) -> None:
            heard.append(client.hear())
            client.say(OK)

        server = serve(talk)
        request("POST", f"{server.url}a%20b?c=d#e", headers={"X-One": "1"}, body=b"\x00body")

        head, _, body = heard[0].partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /a%20b?c=d HTTP/1.1"
        assert body == b"\x00body"
        assert sorted(lines[1:]) == sorted(
            [
                f"Host: 127.0.0.1:{server.port}".encode(),
                b"Connection: close",
                b"X-One: 1",
                b"Content-Length: 5",
            ]
        )

    def test_a_body_in_chunks_is_put_together(self, serve: Serve) -> None:
        server = serve(answering(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))

        assert request("GET", server.url).body == b"abcde"

    def test_a_body_that_ends_with_its_connection_is_whole(self, serve: Serve) -> None:
        server = serve(answering(b"HTTP/1.0 200 OK\r\n\r\nall of it"))

        assert request("GET", server.url).body == b"all of it"

    @pytest.mark.parametrize("status", [400, 404, 500, 503])
    def test_a_refusal_is_an_answer(self, serve: Serve, status: int) -> None:
        server = serve(answering(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()))

        assert request("GET", server.url).status == status

    def test_a_redirect_is_returned_and_not_followed(self, serve: Serve) -> None:
        other = serve(answering(OK))
        head = f"HTTP/1.1 302 Found\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n"
        server = serve(answering(head.encode()))

        answer = request("GET", server.url)

        assert (answer.status, answer.headers["location"]) == (302, other.url)
        assert other.met == 0

    def test_what_the_server_says_before_it_has_heard_all_is_an_answer(self, serve: Serve) -> None:
        def talk(client: Conversation) -> None:
            client.say(b"HTTP/1.1 413 Too much\r\nContent-Length: 0\r\n\r\n")
            client.read_slowly(1024 * 1024, every=0)

        assert request("POST", serve(talk).url, body=bytes(10_000_000)).status == 413

    def test_proxies_in_the_environment_are_ignored(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy, server = serve(answering(OK)), serve(answering(OK))
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)

        assert request("GET", server.url).status == 200
        assert proxy.met == 0

    def test_an_address_that_refuses_gives_way_to_the_next(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(answering(OK))
        monkeypatch.setattr(http_client._Backend, "_resolve", lambda *_: ["127.0.0.2", "127.0.0.1"])

        assert request("GET", f"http://two.example:{server.port}/").status == 200


class TestMuch:
    def test_a_long_body_is_cut(self, serve: Serve) -> None:
        body = bytes(range(256)) * 400
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        server = serve(answering(head.encode(), body))

        assert request("GET", server.url).body == body[:KEPT]

    def test_a_hundred_megabytes_are_not_waited_for_and_not_held(self, serve: Serve) -> None:
        sent: list[int] = []

        def talk(client: Conversation) -> None:
            client.hear()
            client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            for _ in range(1000):
                client.say(bytes(100_000))
                sent.append(100_000)

        server = serve(talk)
        tracemalloc.start()
        answer = request("GET", server.url)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        server.close()

        assert (answer.status, len(answer.body)) == (200, KEPT)
        assert sum(sent) < 20_000_000
        assert most < 2_000_000

    def test_chunks_without_an_end_are_cut(self, serve: Serve) -> None:
        def talk(client: Conversation) -> None:
            client.hear()
            client.say(CHUNKED)
            client.say_slowly(itertools.repeat(b"3e8\r\n" + bytes(1000) + b"\r\n"), every=0)

        answer = request("GET", serve(talk).url)

        assert (answer.status, answer.body) == (200, bytes(KEPT))

    @pytest.mark.parametrize(
        "said",
        [
            b"HTTP/1.1 100 Continue\r\n\r\n",  # and again, and again
            b"",
        ],
    )
    def test_headers_without_an_end_are_refused(self, serve: Serve, said: bytes) -> None:
        def talk(client: Conversation) -> None:
            client.hear()
            client.say(said or b"HTTP/1.1 200 OK\r\n")
            client.say_slowly(itertools.repeat((said or b"X-One: 1\r\n") * 1000), every=0)

        began = time.monotonic()
        with pytest.raises(RequestFailed):
            request("GET", serve(talk).url)
        assert time.monotonic() - began < 5


class TestSlow:
    @pytest.mark.parametrize(
        ("said", "drops"),
        [
            (b"", b"HTTP/1.1 200 OK, and more and more"),
            (b"HTTP/1.1 200 OK\r\n", b"X-One: 1\r\n"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"x"),
            (CHUNKED, b"1\r\nx\r\n"),
            (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        ],
        ids=["status", "headers", "body", "chunks", "body without a length"],
    )
    def test_a_byte_at_a_time_does_not_move_the_deadline(
        self, serve: Serve, said: bytes, drops: bytes
    ) -> None:
        self._fails_in_a_second(serve(dripping(said, drops)).url)

    def test_nor_does_silence(self, serve: Serve) -> None:
        self._fails_in_a_second(serve(silent).url)

    def test_nor_a_server_that_reads_a_little_at_a_time(self, serve: Serve) -> None:
        server = serve(lambda client: client.read_slowly(1_000_000, every=0.1))

        self._fails_in_a_second(server.url, body=bytes(50_000_000))

    def test_nor_a_handshake_that_does_not_begin(self, serve: Serve) -> None:
        self._fails_in_a_second(serve(silent).url.replace("http:", "https:"))

    def _fails_in_a_second(self, url: str, body: bytes = b"") -> None:
        began = time.monotonic()
        with pytest.raises(RequestFailed, match="no answer within 1 seconds"):
            request("POST", url, body=body, timeout_seconds=1)
        assert 0.9 < time.monotonic() - began < 2.5


class TestNoAnswer:
    def test_nobody_listens(self) -> None:
        with pytest.raises(RequestFailed, match="refused"):
            request("GET", f"http://127.0.0.1:{free_port()}/")

    def test_the_connection_is_reset(self, serve: Serve) -> None:
        with pytest.raises(RequestFailed, match="reset"):
            request("GET", serve(resetting).url)

    @pytest.mark.parametrize(
        "said",
        [
            b"",
            b"\x00\xff\x16\x03\x01\r\n\r\n",
            b"220 mail.example.com ESMTP\r\n",
            b"HTTP/1.1 200",
            b"HTTP/1.1 999999 OK\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\n: empty\r\n\r\n",
            CHUNKED + b"zz\r\n",
            CHUNKED + b"ffffffffffffffffffff\r\n",
        ],
    )
    def test_what_is_no_http_is_a_failure_with_a_reason(self, serve: Serve, said: bytes) -> None:
        with pytest.raises(RequestFailed, match=r"^[\x20-\x7e]{5,200}$"):
            request("GET", serve(answering(said)).url, timeout_seconds=5)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "127.0.0.1",
            "http://",
            "http:///path",
            "ftp://127.0.0.1/",
            "ws://127.0.0.1:{port}/",
            "file:///etc/passwd",
            "http://127.0.0.1:99999/",
            "http://127.0.0.1:x/",
            "http://[::1/",
            "http://127.0.0.1:{port}/\u00e9",
            "http://\u00e9.example/",
            "http://127.0.0.1:{port}/a b",
            "http://127.0.0.1:{port}/\x00",
            f"http://{'a' * 300}/",
            "http://no-such-name.invalid/",
        ],
    )
    def test_what_is_no_url_is_a_failure_too(self, serve: Serve, url: str) -> None:
        server = serve(answering(OK))

        with pytest.raises(RequestFailed, match=r"^[\x20-\x7e]{5,200}$"):
            request("GET", url.format(port=server.port))
        assert server.met == 0


class TestInjection:
    @pytest.mark.parametrize("name", ["X-One\r\nX-Two", "X-One:", "X One", "", "X-\u00e9"])
    def test_a_header_has_the_name_of_one(self, serve: Serve, name: str) -> None:
        server = serve(answering(OK))

        with pytest.raises(RequestFailed):
            request("GET", server.url, headers={name: "1"})

    @pytest.mark.parametrize(
        "value", ["1\r\nX-Two: 2", "1\nX-Two: 2", "1\r\n\r\nGET / HTTP/1.1", "1\x00", "\u00e9"]
    )
    def test_a_header_is_one_line(self, serve: Serve, value: str) -> None:
        server = serve(answering(OK))

        with pytest.raises(RequestFailed):
            request("GET", server.url, headers={"X-One": value})

    @pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r"])
    def test_a_url_is_one_line(self, serve: Serve, line_break: str) -> None:
        heard: list[bytes] = []

        def talk(client: Conversation) -> None:
            heard.append(client.hear())
            client.say(OK)

        url = f"{serve(talk).url}a HTTP/1.1{line_break}X-Two:2{line_break}{line_break}"
        with pytest.raises(RequestFailed):
            request("GET", url)
        assert not any(b"X-Two" in request for request in heard)


class TestTls:
    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def server_for(self, authority: trustme.CA, serve: Serve) -> Callable[[str], RawServer]:
        def start(name: str) -> RawServer:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(name).configure_cert(context)
            return serve(answering(OK), tls=context)

        return start

    @pytest.fixture
    def trusted(
        self, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        http_client._tls.cache_clear()
        yield
        http_client._tls.cache_clear()

    def test_a_certificate_of_nobody_known_is_refused(
        self, server_for: Callable[[str], RawServer]
    ) -> None:
        with pytest.raises(RequestFailed, match="certificate verify failed"):
            request("GET", server_for("127.0.0.1").url)

    @pytest.mark.usefixtures("trusted")
    def test_a_trusted_one_works(self, server_for: Callable[[str], RawServer]) -> None:
        assert request("GET", server_for("127.0.0.1").url).body == b"hi"

    @pytest.mark.usefixtures("trusted")
    def test_one_of_another_host_is_refused(self, server_for: Callable[[str], RawServer]) -> None:
        with pytest.raises(RequestFailed, match="certificate verify failed"):
            request("GET", server_for("other.example").url)

    @pytest.mark.usefixtures("trusted")
    def test_it_has_to_be_that_of_the_name_not_of_the_address(
        self, server_for: Callable[[str], RawServer]
    ) -> None:
        server = server_for("localhost")

        assert request("GET", f"https://localhost:{server.port}/").status == 200
        with pytest.raises(RequestFailed, match="certificate verify failed"):
            request("GET", server.url)
