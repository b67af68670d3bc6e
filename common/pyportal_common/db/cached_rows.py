"""The cache keys of models, and which of them a transaction changes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import TextClause, event, inspect
from sqlalchemy.orm import ORMExecuteState, Session

from ..cache_handlers import Fill, Revocation

_PENDING = "pyportal_pending_invalidations"


class CachedRow:
    """Base of models whose rows are cached. They define `cache_keys`.

    Columns that are part of a key need `mapped_column(active_history=True)`, so that the old value
    is known when they change.
    """

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The keys of a row. Called with its old attributes and again with its new ones."""
        raise TypeError(f"{cls.__name__} does not define the cache keys of {dict(row)}")


class UndeclaredCacheKeys(Exception):
    """A statement changes rows of a cached model without declaring which keys that affects.

    Declare them: tx.execute(statement, execution_options={"cache_keys": [...]}).
    """


@dataclass(slots=True)
class PendingInvalidations:
    """The keys and sessions to invalidate when the transaction commits."""

    keys: set[str] = field(default_factory=set)
    revocations: list[Revocation] = field(default_factory=list)
    delays: list[Callable[[float], None]] = field(default_factory=list)
    fills: dict[str, Fill] = field(default_factory=dict)


def pending_invalidations(tx: Session) -> PendingInvalidations:
    """The pending invalidations of a transaction."""
    pending: PendingInvalidations = tx.info.setdefault(_PENDING, PendingInvalidations())
    return pending


def revoke_sessions(tx: Session, revocation: Revocation) -> None:
    """End login sessions when this transaction commits. The `Database` must have `sessions`.

    Raise the auth epoch in SQL in the same transaction.
    """
    pending_invalidations(tx).revocations.append(revocation)


def fill_at_commit(tx: Session, fills: Mapping[str, Fill]) -> None:
    """Cache these values at the COMMIT, by their keys, instead of removing them: `Cache.unfence`.

    They are what a read after the COMMIT will find, of rows that this transaction has inserted or
    locked: nobody else can change those before it ends.
    """
    pending = pending_invalidations(tx)
    pending.keys.update(fills)
    pending.fills.update(fills)


def delay_if_unfenced(tx: Session, delay: Callable[[float], None]) -> None:
    """Call `delay(seconds)` before the COMMIT if readers may see older values for that long.

    For a row that causes a notification of the commit: its receiver must not read older values.
    """
    pending_invalidations(tx).delays.append(delay)


class InvalidatingSession(Session):
    """A SQL session that collects the cache keys of all rows that it changes."""

    def _refuse(self, *_: object, **__: object) -> None:
        raise UndeclaredCacheKeys("the legacy bulk methods do not report what they change")

    bulk_save_objects = bulk_insert_mappings = bulk_update_mappings = _refuse


@event.listens_for(InvalidatingSession, "before_flush")
def _load_all_attributes(tx: Session, *_: object) -> None:
    # The keys of a row that was loaded in part may need its other attributes.
    for row in (*tx.dirty, *tx.deleted):
        if isinstance(row, CachedRow):
            for name in inspect(row).unloaded:
                getattr(row, name)


@event.listens_for(InvalidatingSession, "after_flush")
def _collect_rows(tx: Session, _: object) -> None:
    # Only here both old and new values are known: before the flush new rows have no id, and after
    # this event the old values are gone.
    for changed in (tx.new, tx.dirty, tx.deleted):
        for row in changed:
            if isinstance(row, CachedRow):
                for values in _old_and_new(row):
                    pending_invalidations(tx).keys.update(row.cache_keys(values))


@event.listens_for(InvalidatingSession, "do_orm_execute")
def _collect_statement(state: ORMExecuteState) -> None:
    declared = state.execution_options.get("cache_keys")
    if declared is None:
        target = _possible_target(state)
        if target is None:
            return
        raise UndeclaredCacheKeys(
            f"a statement changes {target}: declare execution_options"
            '={"cache_keys": [...]}, empty if no cached value changes'
        )
    pending_invalidations(state.session).keys.update(declared)


def _possible_target(state: ORMExecuteState) -> str | None:
    """What a statement may change that is cached."""
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
    models = _subclasses(CachedRow)
    return next((model for model in models if getattr(model, "__table__", None) is table), None)


def _subclasses(parent: type[CachedRow]) -> Iterator[type[CachedRow]]:
    """All of them: a model may derive from a mixin that derives from CachedRow, as jobs do."""
    for child in parent.__subclasses__():
        yield child
        yield from _subclasses(child)


def _old_and_new(row: object) -> tuple[dict[str, Any], dict[str, Any]]:
    old, new = {}, {}
    for attribute in inspect(row).attrs:
        history = attribute.history
        kept = [*history.unchanged, *history.deleted, *history.added]
        old[attribute.key] = (*history.deleted, *kept, None)[0]
        new[attribute.key] = (*history.added, *kept, None)[0]
    return old, new
