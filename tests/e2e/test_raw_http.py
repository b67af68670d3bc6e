"""Requests that no client library sends, to the real server."""

import json
import socket
from http.client import HTTPResponse

import pytest

from ..portal_api import REGISTER, registration
from .conftest import Portal

pytestmark = pytest.mark.slow


def send(portal: Portal, *pieces: bytes) -> tuple[int, bytes]:
    """Send raw bytes and read the whole response. Returns its status and body."""
    with socket.create_connection(("127.0.0.1", portal.port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        response = HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


def head(*lines: str) -> bytes:
    first = [f"POST {REGISTER} HTTP/1.1", "Host: x", "Content-Type: application/json"]
    return "\r\n".join([*first, *lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


MEGABYTE = b"x" * 1_000_000


@pytest.mark.parametrize(
    ("length", "pieces"),
    [
        ("Transfer-Encoding: chunked", [chunk(MEGABYTE)] * 10 + [chunk(b"")]),
        ("Content-Length: 10000000", [MEGABYTE] * 10),
    ],
    ids=["chunked", "declared"],
)
def test_ten_megabytes_are_a_413(portal: Portal, length: str, pieces: list[bytes]) -> None:
    status, body = send(portal, head(length), *pieces)

    assert status == 413
    assert json.loads(body)["details"][0]["field"] == "body"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["GET /livez HTTP/0.0"], 400),
        ([f"GET /{'a' * 5000} HTTP/1.1", "Host: x"], 414),
        (["GET /livez HTTP/1.1", "Host: x", f"X-Long: {'a' * 9000}"], 431),
    ],
)
def test_what_never_reaches_a_service_is_refused_by_the_server(
    portal: Portal, lines: list[str], status: int
) -> None:
    """As docs/errors.md says."""
    answered, body = send(portal, "\r\n".join([*lines, "", ""]).encode())

    assert answered == status
    assert body.startswith(b"<html>")


def test_two_idempotency_keys_are_a_400(portal: Portal) -> None:
    text = json.dumps(registration("two-keys")).encode()
    keys = ("Idempotency-Key: one", "Idempotency-Key: two")

    status, body = send(portal, head(f"Content-Length: {len(text)}", *keys), text)

    assert status == 400
    assert json.loads(body)["details"][0]["field"] == "Idempotency-Key"


def test_a_chunked_registration_is_accepted(portal: Portal) -> None:
    text = json.dumps(registration("chunked")).encode()

    chunks = [chunk(part) for part in (text[:20], text[20:], b"")]

    assert send(portal, head("Transfer-Encoding: chunked"), *chunks)[0] == 201


@pytest.mark.parametrize(
    "request_bytes",
    [
        head("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
        head("Transfer-Encoding: chunked") + b"5\r\n{}\r\n0\r\n\r\n",
        head("Content-Length: -1"),
        head("Content-Length: 2", "Content-Length: 3") + b"{}",
        head("Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head("Content-Length: 2", "X-Bad: a\x00b") + b"{}",
        b"POST\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=["size", "framing", "negative", "two-lengths", "both", "nul", "no-path", "tls"],
)
def test_invalid_http_is_a_4xx(portal: Portal, request_bytes: bytes) -> None:
    assert 400 <= send(portal, request_bytes)[0] < 500
    assert portal.request("GET", "/livez").status == 200


def test_an_unknown_transfer_coding_is_a_400(portal: Portal) -> None:
    assert send(portal, head("Transfer-Encoding: xchunked") + b"0\r\n\r\n")[0] == 400


def test_a_truncated_body_is_a_400_and_registers_nobody(portal: Portal) -> None:
    text = json.dumps(registration("truncated")).encode()
    with socket.create_connection(("127.0.0.1", portal.port), timeout=20) as connection:
        connection.sendall(head("Content-Length: 5000") + text)
        connection.shutdown(socket.SHUT_WR)

        assert connection.recv(65536).startswith(b"HTTP/1.1 400")
    assert portal.register("truncated").status == 201


@pytest.mark.parametrize(
    "header",
    [
        "SCRIPT_NAME: /zzz",
        "Script-Name: /api",
        "PATH_INFO: /x",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Ssl: off",
        "X-Forwarded-Prefix: /zzz",
    ],
)
def test_a_header_changes_no_path_or_scheme(portal: Portal, header: str) -> None:
    assert send(portal, head(header, "Content-Length: 2") + b"{}")[0] in {400, 422}


def test_clients_that_stall_in_their_bodies_do_not_block_others(portal: Portal) -> None:
    stalled = [socket.create_connection(("127.0.0.1", portal.port)) for _ in range(24)]
    for connection in stalled:
        connection.sendall(head("Content-Length: 1000") + b'{"username": "')

    response = portal.request("GET", "/livez")

    assert response.status == 200
    assert response.seconds < 25
    for connection in stalled:
        connection.close()


def test_an_invalid_request_is_logged_without_the_id_of_another(portal: Portal) -> None:
    portal.request("GET", "/nothing", **{"X-Request-ID": "another-request"})
    for _ in range(20):
        send(portal, b"GET / HTTP/9.9\r\n\r\n")

    broken = [line for line in portal.log().splitlines() if "Invalid request" in line]
    assert broken
    assert not [line for line in broken if "another-request" in line]


def test_a_client_that_disconnects_causes_no_error(portal: Portal) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", portal.port)) as connection:
            connection.sendall(head("Content-Length: 100000") + b'{"username": "')

    assert portal.request("GET", "/livez").status == 200
    assert "Traceback" not in portal.output()


def test_a_header_cannot_forge_the_client_address(portal: Portal) -> None:
    portal.request(
        "POST", REGISTER, {}, **{"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6"}
    )

    assert portal.redis("exists rate_limit:usermanagement:6.6.6.6") == "0"
    assert portal.redis("exists rate_limit:usermanagement:127.0.0.1") == "1"


def test_a_path_cannot_forge_a_log_line(portal: Portal) -> None:
    portal.request("GET", "/a%0a2026-01-01%20forged")

    assert "\n2026-01-01 forged" not in portal.log()
