"""What the gateway itself answers to odd clients and replicas, and what it writes about them."""

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from common.pyportal_common.testing.plugin import missing
from local.client import send

from .common.waiting import wait_until
from .gateways import Gateway, running_gateway

SECONDS = 60  # for what takes one

HOST = "Host: portal.example.com\r\n"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    if shutil.which("nginx") is None:
        missing("nginx")
    with running_gateway() as running:
        yield running


def exchange(gateway: Gateway, request: str) -> tuple[int, dict[str, str], Any]:
    """The status, headers and body of the answer to these characters."""
    with connection_to(gateway) as connection:
        connection.sendall(request.encode())
        return response_on(connection)


def connection_to(gateway: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), SECONDS)


def response_on(connection: socket.socket) -> tuple[int, dict[str, str], Any]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return int(first.split()[1]), headers, json.loads(body)


@pytest.mark.parametrize(
    ("request_sent", "status"),
    [
        ("no HTTP\r\n\r\n", 400),
        ("GET /%zz HTTP/1.1\r\n" + HOST + "\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n" + HOST + HOST + "\r\n", 400),
        ("GET / HTTP/1.1\r\n" + HOST + f"X: {'x' * 40_000}\r\n\r\n", 400),
        (f"GET /{'x' * 40_000} HTTP/1.1\r\n" + HOST + "\r\n", 414),
        ("TRACE / HTTP/1.1\r\n" + HOST + "\r\n", 405),
        ("POST / HTTP/1.1\r\n" + HOST + "Transfer-Encoding: xchunked\r\n\r\n", 501),
        ("GET / HTTP/3.0\r\n" + HOST + "\r\n", 505),
    ],
)
def test_a_request_that_is_refused_gets_an_error_of_the_same_form(
    gateway: Gateway, request_sent: str, status: int
) -> None:
    answered, headers, body = exchange(gateway, request_sent)

    assert answered == status
    assert body == {
        "error": "Bad Request",
        "code": "bad-request",
        "details": [],
        "request_id": headers["x-request-id"],
    }
    assert gateway.received() == []


@pytest.mark.parametrize("path", ["/x", "/problems/x"])
def test_a_body_that_is_too_long_is_a_413_everywhere(gateway: Gateway, path: str) -> None:
    status, _, body = exchange(
        gateway, f"POST {path} HTTP/1.1\r\n{HOST}Content-Length: 99999999\r\n\r\n"
    )

    assert (status, body["code"]) == (413, "body-too-long")


def test_the_list_of_errors_is_reached_without_a_slash(gateway: Gateway) -> None:
    assert send(gateway.port, "GET", "/problems", timeout_seconds=SECONDS).status == 200

    assert gateway.received() == ["GET /problems"]


def test_a_long_header_of_a_response_arrives(gateway: Gateway) -> None:
    for replica in gateway.replicas["usermanagement"]:
        replica.long_header = 20_000

    response = send(gateway.port, "GET", "/x", timeout_seconds=SECONDS)

    assert response.status == 200
    assert len(response.headers["X-Long"]) == 20_000
    assert len(gateway.received()) == 1


def test_unfinished_uploads_leave_room_for_other_requests(gateway: Gateway) -> None:
    upload = f"POST /x HTTP/1.1\r\n{HOST}Content-Length: 1000000\r\n\r\n{'x' * 20_000}".encode()

    with ExitStack() as stack:
        refused = None
        for _ in range(100):
            connection = stack.enter_context(closing(connection_to(gateway)))
            connection.sendall(upload)
            connection.settimeout(0.05)
            try:
                refused = response_on(connection)
                break
            except TimeoutError:
                continue

        assert refused is not None
        status, headers, body = refused
        assert (status, headers["retry-after"], body["code"]) == (503, "1", "unavailable")
        assert send(gateway.port, "POST", "/x", {"a": 1}, timeout_seconds=SECONDS).status == 200
    # The connections are closed.
    wait_until(
        lambda: (
            send(gateway.port, "POST", "/x", "x" * 20_000, timeout_seconds=SECONDS).status == 200
        ),
        SECONDS,
    )


def test_no_query_string_and_no_referrer_is_logged(gateway: Gateway) -> None:
    for replica in gateway.replicas["usermanagement"]:
        replica.stop()
    (gateway.log.parent / "body").rmdir()  # as if there was no space for a body

    for path, body in (("/x", None), ("/%zz", None), ("/metrics", None), ("/y", "x" * 50_000)):
        response = send(
            gateway.port,
            "GET" if body is None else "POST",
            f"{path}?token=SECRET",
            body,
            headers={"Referer": "http://localhost/?token=SECRET"},
            timeout_seconds=SECONDS,
        )
        assert response.status in {400, 404, 503}

    wait_until(lambda: "POST /y 503 from" in gateway.log.read_text("utf-8"), SECONDS)
    assert "GET /x 503 from" in gateway.log.read_text("utf-8")
    assert "SECRET" not in gateway.log.read_text("utf-8")
