"""The spans of a test, as OpenTelemetry's SDK ends them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from .. import spans
from ..extras import requires
from ..otel_traces import OpenTelemetryTracer

with requires("otel"):
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler
    from opentelemetry.trace import SpanContext


class RecordedSpans:
    """The spans that have ended so far."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> list[ReadableSpan]:
        """In the order in which they have ended."""
        return [*self._exporter.get_finished_spans()]

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of that name."""
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of that name."""
        (found,) = self.named(name)
        return found


@contextmanager
def recorded_spans(sampler: Sampler = DEFAULT_ON) -> Iterator[RecordedSpans]:
    """Record the spans of this process during the block."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.use(OpenTelemetryTracer(lambda: provider))
    try:
        yield RecordedSpans(exporter)
    finally:
        spans.use(None)


def context_of(span: ReadableSpan) -> SpanContext:
    """Its context, which every span of these has."""
    return cast("SpanContext", span.get_span_context())


def trace_of(span: ReadableSpan) -> str:
    """The id of its trace."""
    return f"{context_of(span).trace_id:032x}"


def traceparent_of(span: ReadableSpan) -> str:
    """Its context as W3C Trace Context writes it."""
    return f"00-{trace_of(span)}-{context_of(span).span_id:016x}-{context_of(span).trace_flags:02x}"


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    """Whether a span is directly below another one."""
    return span.parent is not None and span.parent.span_id == context_of(parent).span_id


def links_of(span: ReadableSpan) -> list[str]:
    """The ids of the traces that it links to."""
    return [f"{link.context.trace_id:032x}" for link in span.links]
