"""Pages of a list that is ordered by ids."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

FIRST = 2**63 - 1
"""The cursor of the first page: above all ids."""


class InvalidCursor(ValueError):
    """The cursor is not one that a page has returned."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """The items of a page, and the cursor of the next one, if there is one."""

    items: Sequence[Item]
    next: str | None = None

    @classmethod
    def of(cls, rows: Sequence[Any], limit: int, shown: Callable[[Any], Item]) -> "Page[Item]":
        """The page of `limit` rows, from one row more if there is one, with the newest first."""
        page = rows[:limit]
        return cls(
            [shown(row) for row in page], str(page[-1].id) if len(rows) > limit > 0 else None
        )


def id_below(cursor: str | None) -> int:
    """Rows with a lower id are those of the cursor's page. Raises InvalidCursor."""
    if cursor is None:
        return FIRST
    if not (cursor.isascii() and cursor.isdigit()) or int(cursor) > FIRST:
        raise InvalidCursor(cursor)
    return int(cursor)
