"""Values for Redis: JSON and times to live."""

import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

Value = str | bytes | int | float


def to_json(data: Any) -> str:
    """The JSON text of `data`, as this layer stores it. See RedisClient.set_json."""
    return json.dumps(data, default=_plain, allow_nan=False, separators=(",", ":"))


def _plain(value: object) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def milliseconds(ttl: float) -> int:
    """A time to live in whole milliseconds. TypeError if not a number, ValueError below 1 ms."""
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"a ttl is a number of seconds, not {type(ttl).__name__}")
    rounded = round(ttl * 1000)
    if rounded < 1:
        raise ValueError(f"a ttl must be greater than 0 seconds, not {ttl}")
    return rounded
