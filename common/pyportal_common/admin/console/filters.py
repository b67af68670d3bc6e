"""How templates write numbers, times and states."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from ...commands.output import plural

NOTHING = "\N{EN DASH}"

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SIZES = ("B", "kB", "MB", "GB", "TB")
_STATES = {
    "good": ("ok", "done", "completed", "delivered", "sent", "on"),
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


def number(value: float | None) -> str:
    """A number with separators, and three digits at least."""
    if value is None:
        return NOTHING
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def size(count: float | None) -> str:
    """A number of bytes in the largest unit that fits: 512 B, 1.5 kB."""
    if count is None:
        return NOTHING
    unit = 0
    while count >= 1000 and unit < len(_SIZES) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {_SIZES[unit]}"


def printable(text: str) -> str:
    """A text from Redis, with what cannot be seen or encoded as escapes: any bytes can be a key."""
    visible = (each if each.isprintable() else repr(each)[1:-1] for each in text)
    return "".join(visible)


def redis_fact(value: object, name: str) -> object:
    """A value of INFO, with its unit."""
    if not isinstance(value, int | float):
        return value
    if name == "maxmemory" and value == 0:
        return "no limit"
    if name == "aof_enabled":
        return "yes" if value else "no"
    if name.endswith("_in_seconds"):
        return duration(value)
    if name.startswith(("used_memory", "maxmemory", "mem_")) and not name.endswith("_ratio"):
        return size(value)
    return number(value)


def percent(ratio: float | None) -> str:
    """A ratio as a percentage."""
    return NOTHING if ratio is None else f"{ratio * 100:.3g} %"


def status(state: str) -> Markup:
    """A state: its word, and a dot in its color."""
    kind = _KIND_OF.get(state, "idle")
    return Markup('<span class="status {}">{}</span>').format(kind, state)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "ago": ago,
    "duration": duration,
    "number": number,
    "percent": percent,
    "plural": plural,
    "printable": printable,
    "redis_fact": redis_fact,
    "size": size,
    "status": status,
}
