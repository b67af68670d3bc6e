"""Which cached values the rows of a model are in, and which of them a SQL session changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import TextClause, event, inspect
from sqlalchemy.orm import ORMExecuteState, Session

from ..cache_handlers import Revocation

_NOTES = "pyportal_notes"


class CachedRow:
    """Mixed into a model whose rows are cached: it says under which keys.

    Columns that are part of a key need `mapped_column(active_history=True)`, so that the old value
    is known when they change.
    """

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The keys of a row, given its attributes by name: once the old ones, once the new."""
        raise TypeError(f"{cls.__name__} does not say the cache keys of {dict(row)}")


class UndeclaredCacheKeys(Exception):
    """A statement changes rows of a cached model, and nobody says which keys that concerns.

    Say it: session.execute(statement, execution_options={"cache_keys": [...]}).
    """


@dataclass(slots=True)
class PendingInvalidations:
    """What a transaction has done so far that Redis has to hear of."""

    keys: set[str] = field(default_factory=set)
    revocations: list[Revocation] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether that is nothing."""
        return not self.keys and not self.revocations


def pending_invalidations(tx: Session) -> PendingInvalidations:
    """Those of the transaction that `session` is in."""
    notes: PendingInvalidations = tx.info.setdefault(_NOTES, PendingInvalidations())
    return notes


def revoke_sessions(tx: Session, revocation: Revocation) -> None:
    """Let sessions end with the commit of this transaction: a `Database` with sessions sees to it.

    The auth epoch in SQL has to be raised in the same transaction.
    """
    pending_invalidations(tx).revocations.append(revocation)


class InvalidatingSession(Session):
    """A session that notes the cache keys of all that it changes."""

    def _refused(self, *_: object, **__: object) -> None:
        raise UndeclaredCacheKeys("the legacy bulk calls tell nobody what they change")

    bulk_save_objects = bulk_insert_mappings = bulk_update_mappings = _refused


@event.listens_for(InvalidatingSession, "before_flush")
def _load_all(tx: Session, *_: object) -> None:
    # A row that was loaded in part has keys too.
    for row in (*tx.dirty, *tx.deleted):
        if isinstance(row, CachedRow):
            for name in inspect(row).unloaded:
                getattr(row, name)


@event.listens_for(InvalidatingSession, "after_flush")
def _note_rows(tx: Session, _: object) -> None:
    # Here old and new values are both at hand; after the flush the old ones are forgotten, and
    # before it new rows have no id.
    for changed in (tx.new, tx.dirty, tx.deleted):
        for row in changed:
            if isinstance(row, CachedRow):
                for values in _old_and_new(row):
                    pending_invalidations(tx).keys.update(row.cache_keys(values))


@event.listens_for(InvalidatingSession, "do_orm_execute")
def _note_statement(state: ORMExecuteState) -> None:
    declared = state.execution_options.get("cache_keys")
    if declared is None:
        subject = _what_it_may_change(state)
        if subject is None:
            return
        raise UndeclaredCacheKeys(
            f"a statement changes {subject}: declare execution_options"
            '={"cache_keys": [...]}, empty if none of their cached values changes'
        )
    pending_invalidations(state.session).keys.update(declared)


def _what_it_may_change(state: ORMExecuteState) -> str | None:
    if isinstance(state.statement, TextClause):
        return "what its text says"
    if state.is_update or state.is_delete or state.is_insert:
        model = _cached_model(state)
        return f"{model.__name__} rows" if model is not None else None
    return None


def _cached_model(state: ORMExecuteState) -> type[CachedRow] | None:
    if state.bind_mapper is not None:
        model = state.bind_mapper.class_
        return model if issubclass(model, CachedRow) else None
    table = getattr(state.statement, "table", None)
    models = (model for model in CachedRow.__subclasses__() if hasattr(model, "__table__"))
    return next((model for model in models if model.__table__ is table), None)


def _old_and_new(row: object) -> tuple[dict[str, Any], dict[str, Any]]:
    old, new = {}, {}
    for attribute in inspect(row).attrs:
        history = attribute.history
        kept = [*history.unchanged, *history.deleted, *history.added]
        old[attribute.key] = (*history.deleted, *kept, None)[0]
        new[attribute.key] = (*history.added, *kept, None)[0]
    return old, new
