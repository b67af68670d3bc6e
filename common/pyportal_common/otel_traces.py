"""Reports spans to OpenTelemetry. See `spans`."""

import atexit
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from . import __version__
from .extras import requires

with requires("otel"):
    from opentelemetry import context, trace
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

_Attributes = Mapping[str, str | int]

_KINDS = {
    "server": SpanKind.SERVER,
    "consumer": SpanKind.CONSUMER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}
_EXIT_SECONDS = 1.0  # for the last spans: a collector that does not respond must not delay the exit

# Not by OpenTelemetry's propagator, which logs a line for each header that is too long.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class OpenTelemetrySpan:
    """A span of OpenTelemetry as `spans.Span` describes it."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, name: str, value: str | int) -> None:
        """See Span."""
        self._span.set_attribute(name, value)

    def fail(self) -> None:
        """See Span."""
        self._span.set_status(Status(StatusCode.ERROR))

    def __enter__(self) -> Self:
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        context.detach(self._token)
        if kind is not None:
            self.set("error.type", kind.__name__)
        self._span.end()


class OpenTelemetryTracer:
    """A `spans.Tracer`. It makes its provider for the first span, thus after a fork."""

    def __init__(self, make_provider: Callable[[], trace.TracerProvider]) -> None:
        self._make_provider = make_provider
        self._lock = threading.Lock()
        self._made: trace.Tracer | None = None

    def span(self, name: str, attributes: _Attributes, kind: str) -> OpenTelemetrySpan | None:
        """See Tracer."""
        if not trace.get_current_span().is_recording():
            return None
        return self._start(name, attributes, kind)

    def entry(
        self,
        name: str,
        attributes: _Attributes,
        kind: str,
        cause: str | None,
        joins: bool,
    ) -> OpenTelemetrySpan:
        """See Tracer."""
        found, nothing = _context_of(cause), context.Context()
        if found is None:
            return self._start(name, attributes, kind, nothing)
        if not joins:
            return self._start(name, attributes, kind, nothing, [trace.Link(found)])
        above = trace.set_span_in_context(trace.NonRecordingSpan(found), nothing)
        return self._start(name, attributes, kind, above)

    def traceparent(self) -> str | None:
        """See Tracer."""
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return None
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"

    def trace_id(self) -> str | None:
        """See Tracer."""
        found = trace.get_current_span().get_span_context()
        return f"{found.trace_id:032x}" if found.is_valid else None

    def _start(
        self,
        name: str,
        attributes: _Attributes,
        kind: str,
        within: context.Context | None = None,
        links: Sequence[trace.Link] = (),
    ) -> OpenTelemetrySpan:
        tracer = self._made or self._make()
        return OpenTelemetrySpan(
            tracer.start_span(name, within, _KINDS[kind], attributes, links, record_exception=False)
        )

    def _make(self) -> trace.Tracer:
        with self._lock:
            if self._made is None:
                self._made = self._make_provider().get_tracer("pyportal_common", __version__)
            return self._made


def exporting(service: str, endpoint: str) -> Callable[[], trace.TracerProvider]:
    """Makes a provider that sends the spans of a service to an OTLP endpoint, over HTTP.

    The variables OTEL_* configure the rest: sampling, headers, sizes of batches and of the queue,
    beyond which spans are dropped.
    """
    with requires("otel"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

    def make() -> trace.TracerProvider:
        provider = TracerProvider(
            resource=Resource.create({"service.name": service}), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
        atexit.register(_shut_down_soon, provider.shutdown)
        return provider

    return make


def _shut_down_soon(shut_down: Callable[[], object]) -> None:
    thread = threading.Thread(target=shut_down, name="last-spans", daemon=True)
    with suppress(RuntimeError):  # the interpreter is ending, and starts no more threads
        thread.start()
        thread.join(_EXIT_SECONDS)


def _context_of(traceparent: str | None) -> SpanContext | None:
    """The context that a traceparent describes; None if it is not valid."""
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    sampled = TraceFlags(flags & TraceFlags.SAMPLED)
    described = SpanContext(trace_id, span_id, is_remote=True, trace_flags=sampled)
    return described if described.is_valid else None
