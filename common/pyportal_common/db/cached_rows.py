"""The cache keys of models, and which of them a transaction changes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import FromClause, TextClause, TextualSelect, UpdateBase, event, inspect
from sqlalchemy.orm import (
    ColumnProperty,
    FromStatement,
    InstrumentedAttribute,
    ORMExecuteState,
    Session,
    object_session,
    scoped_session,
)

from ..cache_handlers import Fill, Revocation

_PENDING = "pyportal_pending_invalidations"
_COLLECTS = "pyportal_collects_cache_keys"


class CachedRow:
    """Base of models whose rows are cached. They define `cache_keys`.

    An attribute that is set before it was loaded is loaded, because its old value may be in a key.
    """

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The keys of a row. Called with its old attributes and again with its new ones."""
        raise NotImplementedError(f"{cls.__name__} does not define cache_keys")


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


def pending_invalidations(tx: Session | scoped_session[Any]) -> PendingInvalidations:
    """The pending invalidations of a transaction."""
    pending: PendingInvalidations = tx.info.setdefault(_PENDING, PendingInvalidations())
    return pending


def forget_invalidations(tx: Session) -> None:
    """The transaction has ended: nothing is pending."""
    tx.info.pop(_PENDING, None)


def revoke_sessions(tx: Session | scoped_session[Any], revocation: Revocation) -> None:
    """End login sessions when this transaction commits. The `Database` must have `sessions`.

    Raise the auth epoch in SQL in the same transaction.
    """
    tx.connection()  # without one there would be no COMMIT
    pending_invalidations(tx).revocations.append(revocation)


def invalidate(tx: Session | scoped_session[Any], keys: Iterable[str]) -> None:
    """Remove cached values when this transaction commits, as if their rows had changed."""
    tx.connection()  # without one there would be no COMMIT
    pending_invalidations(tx).keys.update(keys)


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


def collect_keys(sessions: type[Session]) -> None:
    """Have all sessions of a class collect the cache keys of the rows that they change."""
    setattr(sessions, _COLLECTS, True)
    for name in ("bulk_save_objects", "bulk_insert_mappings", "bulk_update_mappings"):
        setattr(sessions, name, _refuse)
    event.listen(sessions, "after_flush", _collect_rows)
    event.listen(sessions, "do_orm_execute", _collect_statement)


def collects_keys(sessions: type[object]) -> bool:
    """Whether the sessions of a class collect keys."""
    return getattr(sessions, _COLLECTS, False)


class InvalidatingSession(Session):
    """A SQL session that collects the cache keys of all rows that it changes."""


def _refuse(*_: object, **__: object) -> None:
    raise UndeclaredCacheKeys("the legacy bulk methods do not report what they change")


def _collect_rows(tx: Session, _: object) -> None:
    # Only here both old and new values are known: before the flush new rows have no id, and after
    # this event the old values are gone.
    for changed in (tx.new, tx.dirty, tx.deleted):
        for row in changed:
            if isinstance(row, CachedRow):
                _collect(tx, row)


def _collect(tx: Session, row: CachedRow) -> None:
    for values in _old_and_new(row):
        pending_invalidations(tx).keys.update(_several(row.cache_keys(values)))


def _several(names: Iterable[str]) -> Iterable[str]:
    if isinstance(names, str):  # its letters would be taken for keys
        raise TypeError(f"cache keys are several texts, as in [{names!r}], not one")
    return names


def _collect_statement(state: ORMExecuteState) -> None:
    declared = state.execution_options.get("cache_keys")
    if declared is None:
        target = _possible_target(state.statement)
        if target is None:
            return
        raise UndeclaredCacheKeys(
            f"a statement changes {target}: declare execution_options"
            '={"cache_keys": [...]}, empty if no cached value changes'
        )
    pending_invalidations(state.session).keys.update(_several(declared))


collect_keys(InvalidatingSession)

# --- in every session, because rows may be changed in one that collects nothing ---


@event.listens_for(CachedRow, "attribute_instrument", propagate=True)
def _keep_old_value(_: type, __: str, attribute: InstrumentedAttribute[Any]) -> None:
    # Otherwise an attribute that is set before it was loaded has no old value.
    if isinstance(attribute.property, ColumnProperty):
        event.listen(attribute, "set", lambda *_: None, active_history=True)


@event.listens_for(CachedRow, "before_insert", propagate=True)
@event.listens_for(CachedRow, "before_update", propagate=True)
@event.listens_for(CachedRow, "before_delete", propagate=True)
def _before_change(_: object, __: object, row: CachedRow) -> None:
    if not collects_keys(type(object_session(row))):
        raise UndeclaredCacheKeys(
            f"{type(row).__name__} rows are cached: change them in a session of Database.begin, "
            "or in one that Database.watch knows"
        )
    # The keys of a row that was loaded in part may need its other attributes.
    state = inspect(row)
    for name in state.unloaded.intersection(state.mapper.column_attrs.keys()):
        getattr(row, name)


@event.listens_for(CachedRow, "after_delete", propagate=True)
def _after_delete(_: object, __: object, row: CachedRow) -> None:
    tx = object_session(row)
    if tx is not None:  # those that are deleted as orphans are not in `tx.deleted`
        _collect(tx, row)


def _possible_target(statement: object) -> str | None:
    """What a statement may change that is cached."""
    while isinstance(statement, FromStatement | TextualSelect):
        statement = statement.element
    if isinstance(statement, TextClause):
        return None if _only_reads(statement.text) else "rows that its text may change"
    if not isinstance(statement, UpdateBase):
        return None
    models = (model for model in _subclasses(CachedRow) if statement.table in _tables(model))
    model = next(models, None)
    return f"{model.__name__} rows" if model is not None else None


def _only_reads(text: str) -> bool:
    """Whether a text is one SELECT. Functions that write are not known."""
    return text.lstrip().lower().startswith("select") and ";" not in text


def _tables(model: type[CachedRow]) -> Sequence[FromClause]:
    mapper = inspect(model, raiseerr=False)
    return mapper.tables if mapper is not None else ()


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
