"""Sockets that seldom let other threads have the interpreter."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from common.pyportal_common.cache_handlers.client.brief_sockets import BriefSocket


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A socket with timeouts, and its peer, which does nothing by itself."""
    mine, other = socket.socketpair()
    timed = BriefSocket.of(mine, 0.1)
    with timed, other:
        yield timed, other


def test_a_peer_that_sends_nothing_is_a_timeout(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    with pytest.raises(TimeoutError):
        pair[0].recv_into(bytearray(10))


def test_a_peer_that_reads_nothing_is_a_timeout(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    with pytest.raises(TimeoutError):
        pair[0].sendall(b"x" * 50_000_000)


def test_a_peer_that_reads_slowly_is_a_timeout(pair: tuple[socket.socket, socket.socket]) -> None:
    mine, other = pair
    ended = threading.Event()

    def read() -> None:
        while not ended.wait(0.02):
            other.recv(200_000)

    reader = threading.Thread(target=read)
    reader.start()
    with pytest.raises(TimeoutError):
        mine.sendall(b"x" * 200_000_000)
    ended.set()
    reader.join()


@pytest.mark.parametrize("size", [1, 1_000, 100_000])
def test_all_bytes_arrive_in_both_directions(
    size: int, pair: tuple[socket.socket, socket.socket]
) -> None:
    mine, other = pair
    data, received = bytes(range(256)) * size, bytearray()
    for chunk in (data[i : i + 50_000] for i in range(0, len(data), 50_000)):
        mine.sendall(chunk)
        received += other.recv(len(chunk), socket.MSG_WAITALL)
        other.sendall(b"ok")
        assert mine.recv_into(answer := bytearray(2)) == 2
        assert answer == b"ok"
    assert received == data


def test_an_ended_connection_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    mine, other = pair
    other.close()

    assert mine.recv_into(bytearray(1)) == 0
    with pytest.raises(BrokenPipeError):
        mine.sendall(b"x")


def test_a_short_message_that_does_not_fit_at_once_arrives_whole(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    mine, other = pair
    mine.setblocking(False)
    filled = 0
    with suppress(BlockingIOError):
        while True:
            filled += mine.send(b"a" * 1000)
    mine.setblocking(True)
    received = bytearray()

    def read() -> None:
        while len(received) < filled + 16_000:
            received.extend(other.recv(50_000))

    reader = threading.Thread(target=read)
    reader.start()
    mine.sendall(b"b" * 16_000)
    reader.join(5)

    assert received == b"a" * filled + b"b" * 16_000


@pytest.mark.parametrize("seconds", [1e-9, 0.0000004])
def test_the_shortest_timeout_is_not_none_at_all(seconds: float) -> None:
    mine, other = socket.socketpair()
    with BriefSocket.of(mine, seconds) as timed, other, pytest.raises(TimeoutError):
        timed.recv_into(bytearray(1))


def test_what_is_no_plain_socket_stays_as_it_is() -> None:
    class Encrypted(socket.socket):
        pass

    with Encrypted() as encrypted:
        assert BriefSocket.of(encrypted, 1) is encrypted
