"""Values for Redis: JSON and times to live."""

import json
import math
import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

Value = str | bytes | int | float


def to_json(data: Any) -> str:
    """The JSON text of `data`, as this layer stores it. See RedisClient.set_json.

    It never begins like a document with a version: a first member `_v` becomes the last one.
    """
    text = _dumps(data)
    if not VERSION.match(text):
        return text
    return _dumps([_version_last(data[0]), *data[1:]] if text[0] == "[" else _version_last(data))


def from_json(text: str) -> Any:
    """The value of a JSON text, without the version of documents that a service stored.

    Raises ValueError as `parse` does.
    """
    found = parse(text)
    if VERSION.match(text):
        for document in found if text[0] == "[" else [found]:
            _cut_version(document)
    return found


def parse(text: str) -> Any:
    """The value of a JSON text.

    Raises ValueError if it is not JSON, cannot be stored by `to_json`, or is nested too deeply.
    """
    try:
        if not text.isascii():
            text.encode()
        return _DECODER.decode(text)
    except UnicodeEncodeError:
        raise ValueError("JSON must be UTF-8") from None  # see `encoding_errors` of connections
    except RecursionError:
        raise ValueError("nested too deeply") from None


def version_member(version: int) -> str:
    """The beginning of the JSON text of a document of this version."""
    return f'{{"_v":{version},'


VERSION = re.compile(r'\[?\{"_v":[0-9]+,')


def _dumps(data: Any) -> str:
    return json.dumps(data, default=_plain, allow_nan=False, separators=(",", ":"))


def _version_last(document: dict[Any, Any]) -> dict[Any, Any]:
    return {name: document[name] for name in document if name != "_v"} | {"_v": document["_v"]}


def _cut_version(document: Any) -> None:
    """Remove a version, which is the first member."""
    if isinstance(document, dict) and next(iter(document), None) == "_v":
        del document["_v"]


def _refuse(number: str) -> float:
    raise ValueError(f"{number} is not JSON")


def _finite(number: str) -> float:
    found = float(number)
    return found if math.isfinite(found) else _refuse("a number that is not finite")


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


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
