"""Requests to addresses that are not allowed: nothing is connected to, whatever the URL."""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest

from common.pyportal_common.outbound import AddressRefused, RequestFailed, is_public, request
from common.pyportal_common.testing.raw_servers import Conversation, RawServer

PRIVATE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1",
    "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::",
    "3fff::1", "4000::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1"]
PRIVATE_HOSTS = [
    "127.0.0.1", "localhost", "LOCALHOST", "2130706433", "0177.0.0.1", "0x7f000001", "0x7f.1",
    "127.1", "127.0.1", "0", "0.0.0.0", "10.0.0.1", "169.254.169.254", "2852039166", "[::1]",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]", "[::127.0.0.1]", "example.com@127.0.0.1",
]  # fmt: skip
HOSTS_WITH_ZONES = ["[fe80::1%25lo]", "[fe80::1%lo]", "[::1%25lo]", "127.0.0.1%00"]


def resolved(*addresses: str) -> list[Any]:
    """What getaddrinfo returns for a name with these addresses."""
    return [
        (
            *(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, ""),
            (address, 80),
        )
        for address in addresses
    ]


@pytest.fixture
def server(serve: Callable[..., RawServer]) -> RawServer:
    """A server, at a private address."""

    def talk(client: Conversation) -> None:
        client.hear()
        client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    return serve(talk)


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses that sockets would connect to. No packet is sent."""
    found: list[Any] = []

    def create_connection(address: Any, *_: Any, **__: Any) -> socket.socket:
        found.append(address)
        raise ConnectionRefusedError("by the test")

    monkeypatch.setattr(socket, "create_connection", create_connection)
    return found


@pytest.mark.parametrize("address", PRIVATE + PUBLIC)
def test_only_public_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address)) is (address in PUBLIC)


@pytest.mark.parametrize(
    ("host", "error", "text"),
    [(host, AddressRefused, "is at an address that is not allowed") for host in PRIVATE_HOSTS]
    + [(host, RequestFailed, ".") for host in HOSTS_WITH_ZONES],
)
def test_a_private_address_is_refused_however_it_is_written(
    server: RawServer, dialled: list[Any], host: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        request("GET", f"http://{host}:{server.port}/", allowed=is_public)
    assert dialled == []
    assert server.met == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["fe80::1%lo"],
        ["93.184.215.14", "127.0.0.1"],
        ["127.0.0.1", "93.184.215.14"],
        ["2606:4700::1111", "::1"],
    ],
)
def test_a_name_with_a_private_address_is_refused(
    dialled: list[Any], monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: resolved(*addresses))

    with pytest.raises(AddressRefused, match="is at an address that is not allowed"):
        request("GET", "http://rebound.example/", allowed=is_public)
    assert dialled == []


def test_public_addresses_are_tried_in_order(
    dialled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = ["2606:4700::1111", "93.184.215.14"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: resolved(*addresses))

    with pytest.raises(RequestFailed, match="by the test"):
        request("GET", "http://good.example/", allowed=is_public)
    assert dialled == [("2606:4700::1111", 80), ("93.184.215.14", 80)]


def test_a_name_is_resolved_once(dialled: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def lookup(host: str, *_: Any, **__: Any) -> list[Any]:
        names.append(host)
        return resolved("93.184.215.14" if len(names) == 1 else "127.0.0.1")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(RequestFailed):
        request("GET", "http://rebound.example/", allowed=is_public)

    assert names == ["rebound.example"]
    assert dialled == [("93.184.215.14", 80)]


def test_the_checked_address_is_the_one_connected_to(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    names: list[str] = []

    def lookup(host: str, *given: Any, **options: Any) -> list[Any]:
        names.append(host)
        if host != "rebound.example":  # the address itself
            return list(real(host, *given, **options))
        return resolved("127.0.0.1" if names.count(host) == 1 else "10.0.0.1")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    checked: list[str] = []

    def allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        checked.append(str(address))
        return True

    response = request("GET", f"http://rebound.example:{server.port}/", allowed=allowed)

    assert response.status == 200
    assert server.met == 1
    assert names == ["rebound.example", "127.0.0.1"]
    assert checked == ["127.0.0.1"]
