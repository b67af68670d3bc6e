"""How the templates of the console write what only it shows."""

from collections.abc import Callable, Mapping
from typing import Any

from ...commands.output import plural
from ...web.pages.filters import NOTHING, duration, number

_SIZES = ("B", "kB", "MB", "GB", "TB")


def size(count: float | None) -> str:
    """A number of bytes in the largest unit that fits: 512 B, 1.5 kB."""
    if count is None:
        return NOTHING
    unit = 0
    while count >= 1000 and unit < len(_SIZES) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {_SIZES[unit]}"


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


FILTERS: Mapping[str, Callable[..., Any]] = {
    "percent": percent,
    "plural": plural,
    "redis_fact": redis_fact,
    "size": size,
}
