"""Requests to servers that respond, that do not respond, and that never stop responding."""

import itertools
import socket
import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from common.pyportal_common.outbound import HttpResponse, RequestFailed, http, request
from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.raw_servers import Conversation, RawServer

Talk = Callable[[Conversation], None]
Serve = Callable[..., RawServer]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
KEPT = 16 * 1024
MALFORMED_URLS = [
    "", "127.0.0.1", "http://", "http:///path", "ftp://127.0.0.1/", "ws://127.0.0.1:{port}/",
    "file:///etc/passwd", "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "http://[::1/",
    "http://127.0.0.1:{port}/\u00e9", "http://\u00e9.example/", "http://127.0.0.1:{port}/a b",
    "http://127.0.0.1:{port}/\x00", f"http://{'a' * 300}/", "http://no-such-name.invalid/",
]  # fmt: skip
MALFORMED_RESPONSES = [
    b"", b"\x00\xff\x16\x03\x01\r\n\r\n", b"220 mail.example.com ESMTP\r\n", b"HTTP/1.1 200",
    b"HTTP/1.1 999999 OK\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", b"HTTP/1.1 200 OK\r\n: empty\r\n\r\n",
    CHUNKED + b"zz\r\n", CHUNKED + b"ffffffffffffffffffff\r\n",
]  # fmt: skip


def answering(*pieces: bytes) -> Talk:
    """Reads the request, and sends these pieces."""

    def talk(client: Conversation) -> None:
        client.hear()
        for piece in pieces:
            client.say(piece)

    return talk


def recording(received: list[bytes]) -> Talk:
    """Adds the request to the list, and responds."""

    def talk(client: Conversation) -> None:
        received.append(client.hear())
        client.say(OK)

    return talk


def flooding(beginning: bytes, piece: bytes) -> Talk:
    """Sends a beginning, and then the piece again and again, without end."""

    def talk(client: Conversation) -> None:
        client.hear()
        client.say(beginning)
        client.say_slowly(itertools.repeat(piece), every=0)

    return talk


def dripping(beginning: bytes, drops: bytes) -> Talk:
    """Sends a beginning at once, and then a byte every fifth of a second, without end."""

    def talk(client: Conversation) -> None:
        client.hear()
        client.say(beginning)
        client.say_slowly((bytes([byte]) for byte in itertools.cycle(drops)), every=0.2)

    return talk


def silent(client: Conversation) -> None:
    client.wait()


def resetting(client: Conversation) -> None:
    client.hear()
    client.reset()


class TestResponses:
    def test_status_headers_and_body_come_back(self, serve: Serve) -> None:
        head = b"HTTP/1.1 201 Created\r\nContent-Length: 8\r\nX-One: A b\r\n\r\n"
        server = serve(answering(head + b'{"a": 1}'))

        response = request("GET", server.url)

        assert response == HttpResponse(201, {"content-length": "8", "x-one": "A b"}, b'{"a": 1}')
        assert response.json() == {"a": 1}

    def test_the_request_is_sent_as_given(self, serve: Serve) -> None:
        received: list[bytes] = []
        server = serve(recording(received))

        request("POST", f"{server.url}a%20b?c=d#e", headers={"X-One": "1"}, body=b"\x00body")

        head, _, body = received[0].partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /a%20b?c=d HTTP/1.1"
        assert body == b"\x00body"
        host = f"Host: 127.0.0.1:{server.port}".encode()
        expected = [host, b"Connection: close", b"X-One: 1", b"Content-Length: 5"]
        assert sorted(lines[1:]) == sorted(expected)

    @pytest.mark.parametrize(
        "response",
        [
            CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\nabcde",
        ],
        ids=["chunked", "until the connection ends"],
    )
    def test_a_body_without_a_length_is_read(self, serve: Serve, response: bytes) -> None:
        assert request("GET", serve(answering(response)).url).body == b"abcde"

    @pytest.mark.parametrize("status", [400, 404, 500, 503])
    def test_an_error_status_is_returned(self, serve: Serve, status: int) -> None:
        server = serve(answering(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()))

        assert request("GET", server.url).status == status

    def test_a_redirect_is_returned_and_not_followed(self, serve: Serve) -> None:
        other = serve(answering(OK))
        head = f"HTTP/1.1 302 Found\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n"
        server = serve(answering(head.encode()))

        response = request("GET", server.url)

        assert (response.status, response.headers["location"]) == (302, other.url)
        assert other.met == 0

    def test_a_response_before_the_end_of_the_request_is_returned(self, serve: Serve) -> None:
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

    def test_after_an_address_that_refuses_the_next_is_tried(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(answering(OK))
        real, addresses = socket.getaddrinfo, ["127.0.0.2", "127.0.0.1"]

        def resolve(host: str, *args: Any, **options: Any) -> list[Any]:
            hosts = addresses if host == "two.example" else [host]
            return [found for name in hosts for found in real(name, *args, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

        assert request("GET", f"http://two.example:{server.port}/").status == 200


class TestLongResponses:
    def test_a_long_body_is_truncated(self, serve: Serve) -> None:
        body = bytes(range(256)) * 400
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        server = serve(answering(head.encode(), body))

        assert request("GET", server.url).body == body[:KEPT]

    def test_a_hundred_megabytes_are_neither_read_nor_held(self, serve: Serve) -> None:
        sent: list[int] = []

        def talk(client: Conversation) -> None:
            client.hear()
            client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            for _ in range(1000):
                client.say(bytes(100_000))
                sent.append(100_000)

        server = serve(talk)
        tracemalloc.start()
        response = request("GET", server.url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        server.close()

        assert (response.status, len(response.body)) == (200, KEPT)
        assert sum(sent) < 20_000_000
        assert peak < 2_000_000

    def test_chunks_without_an_end_are_truncated(self, serve: Serve) -> None:
        server = serve(flooding(CHUNKED, b"3e8\r\n" + bytes(1000) + b"\r\n"))

        response = request("GET", server.url)

        assert (response.status, response.body) == (200, bytes(KEPT))

    @pytest.mark.parametrize(
        ("beginning", "line"),
        [(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"HTTP/1.1 200 OK\r\n", b"X-One: 1\r\n")],
    )
    def test_headers_without_an_end_are_refused(
        self, serve: Serve, beginning: bytes, line: bytes
    ) -> None:
        server = serve(flooding(beginning, line * 1000))

        began = time.monotonic()
        with pytest.raises(RequestFailed):
            request("GET", server.url)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("talk", "scheme", "size"),
    [
        (dripping(b"", b"HTTP/1.1 200 OK, and more and more"), "http", 0),
        (dripping(b"HTTP/1.1 200 OK\r\n", b"X-One: 1\r\n"), "http", 0),
        (dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"x"), "http", 0),
        (dripping(CHUNKED, b"1\r\nx\r\n"), "http", 0),
        (dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), "http", 0),
        (silent, "http", 0),
        (silent, "https", 0),
        (lambda client: client.read_slowly(1_000_000, every=0.1), "http", 50_000_000),
    ],
    ids=[
        *("status", "headers", "body", "chunks", "body without a length"),
        *("silent", "no TLS handshake", "reads slowly"),
    ],
)
def test_a_slow_server_does_not_move_the_deadline(
    serve: Serve, talk: Talk, scheme: str, size: int
) -> None:
    url = serve(talk).url.replace("http:", f"{scheme}:")
    began = time.monotonic()

    with pytest.raises(RequestFailed, match="no answer within 1 seconds"):
        request("POST", url, body=bytes(size), timeout_seconds=1)

    assert 0.9 < time.monotonic() - began < 2.5


class TestFailures:
    def test_a_closed_port(self) -> None:
        with pytest.raises(RequestFailed, match="refused"):
            request("GET", f"http://127.0.0.1:{free_port()}/")

    def test_a_reset_connection(self, serve: Serve) -> None:
        with pytest.raises(RequestFailed, match="reset"):
            request("GET", serve(resetting).url)

    @pytest.mark.parametrize("response", MALFORMED_RESPONSES)
    def test_a_malformed_response_fails_with_a_reason(self, serve: Serve, response: bytes) -> None:
        with pytest.raises(RequestFailed, match=r"^[\x20-\x7e]{5,200}$"):
            request("GET", serve(answering(response)).url, timeout_seconds=5)

    @pytest.mark.parametrize("url", MALFORMED_URLS)
    def test_a_malformed_url_fails_with_a_reason(self, serve: Serve, url: str) -> None:
        server = serve(answering(OK))

        with pytest.raises(RequestFailed, match=r"^[\x20-\x7e]{5,200}$"):
            request("GET", url.format(port=server.port))
        assert server.met == 0


class TestInjection:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *[(name, "1") for name in ("X-One\r\nX-Two", "X-One:", "X One", "", "X-\u00e9")],
            *[("X-One", value) for value in ("1\r\nX-Two: 2", "1\nX-Two: 2", "1\x00", "\u00e9")],
            ("X-One", "1\r\n\r\nGET / HTTP/1.1"),
            *[("X-One", value) for value in ("secret\n", " secret", "secret\x7f")],
        ],
    )
    def test_a_malformed_header_is_refused_and_its_value_not_shown(
        self, serve: Serve, name: str, value: str
    ) -> None:
        with pytest.raises(RequestFailed) as raised:
            request("GET", serve(answering(OK)).url, headers={name: value})

        assert str(raised.value) == f"the header {name!r} cannot be sent"

    @pytest.mark.parametrize("value", ["", "a", "a b\tc", "!~"])
    def test_a_header_is_sent_as_it_is(self, serve: Serve, value: str) -> None:
        received: list[bytes] = []

        request("GET", serve(recording(received)).url, headers={"X-One": value})

        assert f"\r\nX-One: {value}\r\n".encode() in b"".join(received)

    @pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r"])
    def test_a_line_break_in_a_url_is_refused(self, serve: Serve, line_break: str) -> None:
        received: list[bytes] = []

        url = (
            f"{serve(recording(received)).url}a HTTP/1.1{line_break}X-Two:2{line_break}{line_break}"
        )
        with pytest.raises(RequestFailed):
            request("GET", url)
        assert not any(b"X-Two" in request for request in received)


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
        http.tls_context.cache_clear()
        yield
        http.tls_context.cache_clear()

    def test_a_certificate_of_an_unknown_authority_is_refused(
        self, server_for: Callable[[str], RawServer]
    ) -> None:
        with pytest.raises(RequestFailed, match="certificate verify failed"):
            request("GET", server_for("127.0.0.1").url)

    @pytest.mark.usefixtures("trusted")
    @pytest.mark.parametrize(
        ("host", "other_host"),
        [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1")],
    )
    def test_a_trusted_certificate_is_accepted_for_its_own_host_only(
        self, server_for: Callable[[str], RawServer], host: str, other_host: str
    ) -> None:
        server = server_for(host)

        assert request("GET", f"https://{host}:{server.port}/").body == b"hi"
        with pytest.raises(RequestFailed, match="certificate verify failed"):
            request("GET", f"https://{other_host}:{server.port}/")
