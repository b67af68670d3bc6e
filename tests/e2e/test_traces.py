"""Traces of the running portal: what its processes send to a collector."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from common.pyportal_common.testing.raw_servers import Conversation, RawServer

from ..portal_api import User, wait_until
from .conftest import UNLIMITED, Portal, running_portal

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Span:
    """A span that was received."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str


class Collector:
    """Receives spans over OTLP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                collector.spans += received(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._server.shutdown()
        self._server.server_close()

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace that have arrived."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def path(self, trace_id: str, span_id: str) -> list[Span]:
        """The spans from the first to this one; empty until all of them have arrived."""
        spans = {span.span_id: span for span in self.trace(trace_id)}
        path: list[Span] = []
        while span_id:  # each process sends its own spans, when it gets to it
            if span_id not in spans:
                return []
            path.insert(0, spans[span_id])
            span_id = path[0].parent_id
        return path


def received(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        named = {each.key: each.value.string_value for each in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                yield Span(named["service.name"], span.name, *ids)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Portal]:
    """A portal that sends its spans to the collector, soon."""
    yield from running_portal(
        tmp_path_factory.mktemp("portal"),
        **UNLIMITED,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="100",  # ms
    )


def test_one_trace_leads_from_a_request_to_a_webhook(
    portal: Portal, collector: Collector, serve: Callable[..., RawServer]
) -> None:
    heads: list[str] = []

    def talk(client: Conversation) -> None:
        heads.append(client.hear().partition(b"\r\n\r\n")[0].decode())
        client.say(b"HTTP/1.1 204 No Content\r\n\r\n")

    john = User.register(portal, "john_doe")
    flight_id = User.create_admin(portal).add_flight("PY101")
    hook = {"url": serve(talk).url, "eventTypes": ["booking.confirmed"]}
    john.fetch("POST", "/webhooks", hook, service="notification")
    john.book(flight_id)

    wait_until(lambda: bool(heads))
    (line,) = (line for line in heads[0].split("\r\n") if line.startswith("traceparent: "))
    _, trace_id, span_id, _ = line.removeprefix("traceparent: ").split("-")
    wait_until(lambda: bool(collector.path(trace_id, span_id)))
    assert [(span.service, span.name) for span in collector.path(trace_id, span_id)] == [
        ("taskprocessing", "POST /api/v1/airliner/tasks"),
        ("taskprocessing", "delivery"),
        ("notification", "POST /api/v1/airliner/notifications"),
        ("notification", "attempt webhook-events"),
        ("notification", "delivery"),
    ]
    wait_until(
        lambda: (
            {"attempt tasks", "admission", "cache.fence"}
            <= {span.name for span in collector.trace(trace_id)}
        )
    )
    for name in ("taskprocessing", "notification"):
        assert f"trace_id={trace_id}" in portal.log(name)


def test_without_the_collector_requests_are_served_and_the_portal_stops(
    portal: Portal, collector: Collector
) -> None:
    collector.close()

    jane = User.register(portal, "jane_doe")
    assert jane.request("GET", f"/users/{jane.user_id}").status == 200
    portal.stop()
    assert portal.processes() == []
