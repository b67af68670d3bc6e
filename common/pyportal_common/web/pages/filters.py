"""How templates write times, numbers and states."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

NOTHING = "\N{EN DASH}"

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_STATES = {
    "good": ("ok", "done", "completed", "delivered", "sent", "on", "confirmed", "verified"),
    "bad": ("failed", "unavailable", "refused", "silent", "none", "expired", "off", "wrong"),
    "warn": ("degraded", "refusing", "late", "paused", "failing", "retrying", "put off", "unseen"),
    "busy": ("processing", "running", "sending"),
}
_KIND_OF = {state: kind for kind, states in _STATES.items() for state in states}


def duration(seconds: float | None) -> str:
    """A time in the largest unit that fits: 340 ms, 12 s, 3 min."""
    if seconds is None:
        return NOTHING
    if 0 < seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))
    return f"{int(seconds // size)} {unit}"


def ago(at: datetime | None) -> str | Markup:
    """A moment, as far as it is from now. Its title has the moment itself."""
    if at is None:
        return NOTHING
    seconds = (datetime.now(UTC) - at).total_seconds()
    distance = duration(max(1, int(abs(seconds))))
    text = f"{distance} ago" if seconds >= 0 else f"in {distance}"
    moment = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), moment, text)


def moment(at: datetime | str | None) -> str | Markup:
    """A moment to the minute: 31 Jan 2030, 09:30 UTC. A text is one in the form of ISO 8601."""
    if at is None:
        return NOTHING
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    text = f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), text)


def number(value: float | None) -> str:
    """A number with separators, and three digits at least."""
    if value is None:
        return NOTHING
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def printable(text: str) -> str:
    """A text with what cannot be seen or encoded as escapes: any bytes can be a key of Redis."""
    visible = (each if each.isprintable() else repr(each)[1:-1] for each in text)
    return "".join(visible)


def status(state: str) -> Markup:
    """A state: its word, and a dot in its color."""
    kind = _KIND_OF.get(state, "idle")
    return Markup('<span class="status {}">{}</span>').format(kind, state)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "ago": ago,
    "duration": duration,
    "moment": moment,
    "number": number,
    "printable": printable,
    "status": status,
}
