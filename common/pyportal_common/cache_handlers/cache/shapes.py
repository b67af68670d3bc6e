"""The forms of cached values as text, and which texts do not fit them."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from ..client.values import VERSION, from_json, parse, to_json, version_member


class Shape(Protocol):
    """How a kind of value is written as text, and which texts are such a value."""

    def encode(self, value: Any) -> str | bytes:
        """The text of a value, or its bytes. TypeError or ValueError if it has none."""

    def decode(self, text: str) -> Any:
        """The value of a text. Raises ValueError for a text that does not fit: it is a miss."""


@dataclass(frozen=True, slots=True)
class PlainJson:
    """Any JSON value."""

    def encode(self, value: Any) -> str:
        """Its JSON text."""
        return to_json(value)

    def decode(self, text: str) -> Any:
        """The value of any JSON text."""
        return from_json(text)


PLAIN_JSON = PlainJson()


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object of one version, or null.

    The text begins with the version as in `{"_v":3,"id":7,…}`. It is recognised by that beginning
    and cut without parsing. A text of another version, or without the `fields`, does not fit.
    """

    version: int
    fields: frozenset[str] = field(default=frozenset(), repr=False)

    def encode(self, value: dict[str, Any] | None) -> str:
        """The JSON text with the version as its first member. ValueError for an empty object."""
        if value is None:
            return "null"
        if not value:
            raise ValueError("a document must have fields")
        return version_member(self.version) + to_json(value)[1:]

    def decode(self, text: str) -> Any:
        """The object without the version, or None."""
        return None if text == "null" else self._with_fields(parse(self.cut(text)))

    def cut(self, text: str) -> str:
        """The text without the version. ValueError for another version, and for null."""
        beginning = version_member(self.version)
        if not text.startswith(beginning):
            raise ValueError("not a document of this version")
        return "{" + text[len(beginning) :]

    def without_version(self, value: Any) -> dict[str, Any]:
        """A parsed object without its version. Raises ValueError if it does not fit."""
        if not isinstance(value, dict) or value.pop("_v", None) != self.version:
            raise ValueError("not a document of this version")
        return self._with_fields(value)

    def _with_fields(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not value.keys() >= self.fields:
            raise ValueError("not the fields of this document")
        return value


@dataclass(frozen=True, slots=True)
class DocumentArray:
    """A JSON array of documents, each with its version."""

    item: Document

    def encode(self, value: Collection[dict[str, Any]]) -> str:
        """The JSON text of all documents."""
        return "[" + ",".join(map(self.item.encode, value)) + "]"

    def decode(self, text: str) -> list[dict[str, Any]]:
        """The documents without their versions."""
        found = parse(text)
        if not isinstance(found, list):
            raise ValueError("not an array")
        return [self.item.without_version(each) for each in found]


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number from 0 to 10^18, such as an id or a count, or null."""

    def encode(self, value: int | None) -> str:
        """Its digits."""
        return to_json(value)

    def decode(self, text: str) -> int | None:
        """The number, or None."""
        if text == "null":
            return None
        if not _NUMBER.fullmatch(text):
            raise ValueError("not a whole number")
        return int(text)


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes, such as an image or a rendered page, or None. They are stored as they are.

    They begin with `bytes:`, so that readers of another shape do not take them for a value. Redis
    allows 512 MB. A value that takes longer than the read timeout counts as an outage, so keep them
    to a few MB.
    """

    def encode(self, value: bytes | None) -> bytes:
        """The stored bytes. TypeError for another type, even a bytearray."""
        if value is None:
            return b"null"
        if type(value) is not bytes:
            raise TypeError(f"the value must be bytes or None, not {type(value).__name__}")
        return _BYTES + value

    def decode(self, text: str | bytes) -> bytes | None:
        """The bytes, or None."""
        stored = text.encode(errors="surrogateescape") if isinstance(text, str) else text
        if stored == b"null":
            return None
        if not stored.startswith(_BYTES):
            raise ValueError("not bytes")
        return stored[len(_BYTES) :]


_BYTES = b"bytes:"


def known_value(shape: Shape, text: str) -> Any:
    """The value of a text, as `Shape.decode`. It is kept for the same text: do not change it."""
    if len(text) > _LONGEST_KNOWN:
        return shape.decode(text)
    return _known(shape, text)  # type: ignore[arg-type]  # a shape is frozen


@lru_cache(maxsize=1000)
def _known(shape: Shape, text: str) -> Any:
    return shape.decode(text)


_LONGEST_KNOWN = 4000  # characters


def without_versions(text: str, value: Any) -> str:
    """The JSON text of `value`, from the text that a shape has decoded to it."""
    version = VERSION.match(text)
    if version is None:
        return text
    if text[0] == "{":
        return "{" + text[version.end() :]
    member = version[0][1:]
    # A nested object may begin like a document.
    return text.replace(member, "{") if text.count(member) == len(value) else to_json(value)


_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
