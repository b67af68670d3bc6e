"""Messages to other services that have failed: list, resend, discard."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement

from ..db import Act, Audit, Page
from ..db.pages import id_below
from ..jobs.outbox import FAILED, BaseOutbox, OutboxMessage
from .bulk import BulkAct
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

    def to_resend(self, wanted: MessageFilter, *, every: bool = False) -> BulkAct:
        """The act that sends failed messages again, with their keys.

        Raises NotFiltered unless there is either a filter or `every`, for all of them.
        """
        return self._act("outbox resend", wanted, self._outbox.restart, every=every)

    def to_discard(self, wanted: MessageFilter, *, every: bool = False) -> BulkAct:
        """The act that gives failed messages up, and deletes their content. See `to_resend`."""
        return self._act("outbox discard", wanted, self._outbox.discard, every=every)

    def _act(
        self, action: str, wanted: MessageFilter, change: Callable[[Any], None], *, every: bool
    ) -> BulkAct:
        outbox, act, selected = self._outbox, Act(action, "", wanted.given()), self._failed(wanted)
        return BulkAct(
            outbox.database,
            self._audit,
            act,
            [selected],
            change,
            outbox.wake_workers,
            every=every,
        )

    def _failed(self, wanted: MessageFilter) -> Selection:
        database, model = self._outbox.database, self._outbox.model
        return Selection.of(database, model, *self._indexed(model, wanted), wanted=wanted)

    def _indexed(
        self, model: type[OutboxMessage], wanted: MessageFilter
    ) -> Iterator[ColumnElement[bool]]:
        yield model.status == FAILED
        if wanted.service is not None:
            yield model.service == wanted.service
        if wanted.ids is not None:
            yield model.id.in_(wanted.ids)
