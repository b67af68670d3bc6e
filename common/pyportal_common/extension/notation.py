"""Rate limits as text, in the notation of the library `limits`: "5/minute; 100 per 2 hours"."""

import re
from dataclasses import dataclass
from functools import lru_cache

_SECONDS = {  # months and years are those of `limits`
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "month": 30 * 86_400,
    "year": 360 * 86_400,
}
_SEPARATORS = re.compile("[,;|]")
_RATE = re.compile(
    r"(\d{1,10})\s*(?:/|per\s)\s*(\d{1,10})?\s*(second|minute|hour|day|month|year)s?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` in any `window` seconds."""

    limit: int
    window: int


@lru_cache(maxsize=1000)
def parse_rates(text: str) -> tuple[Rate, ...]:
    """The rates in a text. Raises ValueError, also if two of them have the same window."""
    rates = tuple(_parse(part.strip(), text) for part in _SEPARATORS.split(text))
    if len({rate.window for rate in rates}) < len(rates):
        raise ValueError(f"{text!r} has two rates for the same time")
    return rates


def _parse(part: str, text: str) -> Rate:
    match = _RATE.fullmatch(part)
    if match is None:
        raise ValueError(f'{text!r}: a rate limit is written as in "5/minute; 100 per 2 hours"')
    limit, multiple, unit = match.groups()
    return Rate(int(limit), int(multiple or 1) * _SECONDS[unit.lower()])
