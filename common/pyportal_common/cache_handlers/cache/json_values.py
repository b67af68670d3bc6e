"""Values with their JSON text, for the bodies of responses."""

from dataclasses import dataclass
from typing import Any, Self

from ..client.values import to_json


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A value, and its JSON text for the body of a response. Do not change the value."""

    value: Any
    text: str

    @classmethod
    def of(cls, value: Any) -> Self:
        """A value that is not cached. TypeError or ValueError without a JSON form."""
        return cls(value, to_json(value))

    def first_page(self, size: int, *, cursor: str) -> Self:
        """The first `size` items of an array: {"items": …, "next": …}.

        `next` is the `cursor` of the last item as text, or null if there are no more.
        """
        items = self.value[:size]
        if len(items) == len(self.value):
            text = f'{{"items":{self.text},"next":null}}'
            return type(self)({"items": items, "next": None}, text)
        return self.of({"items": items, "next": str(items[-1][cursor])})
