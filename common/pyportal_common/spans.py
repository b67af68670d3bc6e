"""Spans: what requests and jobs do and how long it takes, joined to traces across processes.

Without a tracer, which `start` or `use` sets for the process, every function here does nothing. So
the Redis layer and the jobs report spans and do not depend on OpenTelemetry. A `traceparent` is the
context of a span as W3C Trace Context writes it, 55 characters.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Protocol, Self

Attributes = Mapping[str, str | int]
Kind = Literal["server", "consumer", "client", "internal"]


class Span(Protocol):
    """A span, which is the current one of the thread during its block.

    An exception that leaves the block becomes its `error.type`, without the text, which may have
    personal data.
    """

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute."""

    def fail(self) -> None:
        """Mark it as an error."""

    def __enter__(self) -> Self:
        """Make it the current span."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it."""


class Tracer(Protocol):
    """Makes spans: see the functions of the same names."""

    def span(self, name: str, attributes: Attributes, kind: Kind) -> Span | None:
        """None if the current span is not recorded, or if there is none."""

    def entry(
        self, name: str, attributes: Attributes, kind: Kind, cause: str | None, joins: bool
    ) -> Span:
        """See `entry`."""

    def traceparent(self) -> str | None:
        """See `traceparent`."""

    def trace_id(self) -> str | None:
        """See `trace_id`."""


class _NoSpan:
    def set(self, name: str, value: str | int) -> None:
        pass

    def fail(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


_NO_SPAN = _NoSpan()
_NONE: Attributes = {}
_tracer: Tracer | None = None


def start(service: str, endpoint: str | None) -> None:
    """Send the spans of this process to an OTLP endpoint over HTTP; without one, do nothing.

    Opens no connection: the first span does, in the process that makes it. Raises ImportError if
    OpenTelemetry is not installed.
    """
    if endpoint is None:
        return
    from .otel_traces import OpenTelemetryTracer, exporting

    use(OpenTelemetryTracer(exporting(service, endpoint)))


def use(tracer: Tracer | None) -> None:
    """Report the spans of this process to a tracer, or no more."""
    global _tracer
    _tracer = tracer


def are_reported() -> bool:
    """Whether there is a tracer."""
    return _tracer is not None


def span(name: str, attributes: Attributes = _NONE, *, kind: Kind = "internal") -> Span:
    """A part of the current span. Outside of one it is not reported."""
    if _tracer is None:
        return _NO_SPAN
    return _tracer.span(name, attributes, kind) or _NO_SPAN


def entry(
    name: str,
    attributes: Attributes = _NONE,
    *,
    kind: Kind,
    cause: str | None,
    joins: bool,
) -> Span:
    """The first span of a thread. It joins the trace of its cause, or links to it in a new trace.

    `cause` is a traceparent. One that is not valid is ignored.
    """
    if _tracer is None:
        return _NO_SPAN
    return _tracer.entry(name, attributes, kind, cause, joins)


def attempt(
    name: str, attributes: Attributes, *, kind: Kind, cause: str | None, number: int
) -> Span:
    """The span of an attempt. The first one joins the trace of its cause.

    Others may follow for days: each is a new trace, with a link.
    """
    attributes = {**attributes, "pyportal.attempt": number}
    return entry(name, attributes, kind=kind, cause=cause, joins=number == 1)


def traceparent() -> str | None:
    """The context of the current span, to be sent or stored; None without one."""
    return None if _tracer is None else _tracer.traceparent()


def trace_id() -> str | None:
    """The id of the current trace, for logs; None without one."""
    return None if _tracer is None else _tracer.trace_id()
