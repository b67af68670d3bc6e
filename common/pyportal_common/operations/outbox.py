"""Messages to other services that have failed: list, resend, discard."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement

from ..db import Act, Actor, Audit, Page
from ..db.pages import id_below
from ..jobs.outbox import FAILED, BaseOutbox, OutboxMessage
from .bulk import BulkAct
from .errors import NotFiltered
from .filters import check_filter, given
from .selection import Selection


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """The failed messages to a service, among at most 1,000 ids. None means any.

    They were created from `since` on and before `until`, and have the text `error` in their error,
    in any case. Raises ValueError for too many ids and for an empty text.
    """

    service: str | None = None
    ids: tuple[int, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        check_filter(self.ids, self.error)

    def given(self) -> Mapping[str, Any]:
        """What is set, for the audit log."""
        return given(self)


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message without its content."""

    id: int
    service: str
    path: str
    template: str
    attempts: int
    error: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: OutboxMessage) -> "MessageView":
        """The view of a row."""
        names = cls.__dataclass_fields__.keys() - {"template"}
        template = row.body.get("template", row.body.get("type", ""))
        return cls(template=str(template), **{name: getattr(row, name) for name in names})


class OutboxOperations:
    """The messages of a service that others have refused. Methods may raise SQLAlchemyError."""

    def __init__(self, outbox: BaseOutbox[Any], audit: Audit) -> None:
        self._outbox = outbox
        self._audit = audit

    def page(
        self,
        wanted: MessageFilter = MessageFilter(),
        *,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[MessageView]:
        """The failed messages, the newest first. Raises InvalidCursor.

        A page with few or no items may have a next one: see `Selection`.
        """
        below = id_below(cursor)
        selection = self._failed(wanted)
        with self._outbox.database.read() as tx:
            rows, next_cursor = selection.page(tx, below, limit)
        return Page([MessageView.of(row) for row in rows], next_cursor)

    def count(self, wanted: MessageFilter) -> int:
        """How many failed messages `resend` and `discard` would change."""
        selection = self._failed(wanted)
        with self._outbox.database.read() as tx:
            return selection.count(tx)

    def resend(
        self,
        actor: Actor,
        wanted: MessageFilter,
        *,
        every: bool = False,
        at_most: int | None = None,
    ) -> int:
        """Send failed messages again, with their keys. Returns how many.

        A transaction for each hundred. Raises NotFiltered if all are meant and it is not `every`.
        """
        change = self._change(actor, "outbox resend", wanted, every, at_most)
        return change(self._outbox.restart)

    def discard(
        self,
        actor: Actor,
        wanted: MessageFilter,
        *,
        every: bool = False,
        at_most: int | None = None,
    ) -> int:
        """Give failed messages up, and delete their content. Like `resend`."""
        change = self._change(actor, "outbox discard", wanted, every, at_most)
        return change(self._outbox.discard)

    def _failed(self, wanted: MessageFilter) -> Selection:
        model = self._outbox.model
        return Selection.of(
            self._outbox.database, model, *self._indexed(model, wanted), wanted=wanted
        )

    def _indexed(
        self, model: type[OutboxMessage], wanted: MessageFilter
    ) -> Iterator[ColumnElement[bool]]:
        yield model.status == FAILED
        if wanted.service is not None:
            yield model.service == wanted.service
        if wanted.ids is not None:
            yield model.id.in_(wanted.ids)

    def _change(
        self, actor: Actor, action: str, wanted: MessageFilter, every: bool, at_most: int | None
    ) -> Callable[[Callable[[Any], None]], int]:
        if not every and not wanted.given():
            raise NotFiltered
        outbox, act = self._outbox, Act(action, "", wanted.given())
        bulk = BulkAct(outbox.database, self._audit, actor, act, at_most=at_most)

        def change_all(change: Callable[[Any], None]) -> int:
            bulk.change(self._failed(wanted), change, outbox.wake_workers)
            return bulk.count

        return change_all
