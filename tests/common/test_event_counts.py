"""What the processes of a service have counted, as commands read it."""

from collections.abc import Callable, Iterator

import pytest

from common.pyportal_common.operations import OperationRefused
from common.pyportal_common.operations.event_counts import served_counts
from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.raw_servers import Conversation, RawServer

TEXT = b"""\
# TYPE cache_events_total counter
cache_events_total{cache="user",event="hit"} 6.0
cache_events_total{cache="user",event="stale"} 1.0
cache_events_total{cache="user",event="miss"} 3.0
cache_events_total{cache="user",event="load"} 3.0
# TYPE rate_limit_decisions_total counter
rate_limit_decisions_total{policy="login",decision="allowed",counted_in="redis"} 10.0
rate_limit_decisions_total{policy="login",decision="refused",counted_in="redis"} 2.0
rate_limit_decisions_total{policy="login",decision="refused",counted_in="process"} 1.0
# TYPE rate_limit_near_total counter
rate_limit_near_total{policy="login"} 4.0
"""

Serve = Callable[[bytes], None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves a response to GET /metrics of User Management."""
    servers = []

    def start(response: bytes) -> None:
        def respond(conversation: Conversation) -> None:
            conversation.hear()
            conversation.say(response)

        servers.append(RawServer(respond))
        monkeypatch.setenv("USERMANAGEMENT_URL", f"http://127.0.0.1:{servers[0].port}/")

    yield start
    for server in servers:
        server.close()


def test_reads_and_decisions_are_those_of_all_processes(serve: Serve) -> None:
    serve(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + TEXT)

    counts = served_counts("usermanagement")

    user, login = counts.caches["user"], counts.limits["login"]
    assert (user.reads, user.hit_ratio) == (10, 0.7)
    assert (login["allowed"], login["refused"], login["near"]) == (10, 3, 4)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\xff\xfe",
        b"nothing of HTTP\r\n\r\n",
    ],
    ids=["503", "a page", "no text", "no response"],
)
def test_what_answers_otherwise_is_said(serve: Serve, response: bytes) -> None:
    serve(response)

    with pytest.raises(OperationRefused, match="/metrics of usermanagement"):
        served_counts("usermanagement")


def test_a_service_that_is_down_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERMANAGEMENT_URL", f"http://127.0.0.1:{free_port()}")

    with pytest.raises(OperationRefused, match="did not answer"):
        served_counts("usermanagement")
