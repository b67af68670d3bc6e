"""The statements about a table of jobs.

Those that run for each job are built once, which takes longer than running one, and their rows are
not loaded by a session, which takes longer still.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Select,
    Update,
    and_,
    bindparam,
    exists,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import make_transient_to_detached
from sqlalchemy.orm.attributes import manager_of_class

from ..db import Transaction, UtcDateTime
from ..db.cached_rows import pending_invalidations
from .models import JobRow

Row = TypeVar("Row", bound=JobRow)

_NEW = "new_"  # the prefix of parameters that are values of columns


def change(
    tx: Transaction, model: type[Row], statement: Update, changes: Mapping[str, Any], **which: Any
) -> list[Row]:
    """Set columns by one of the statements below. The rows that it changed, detached.

    Their cached values are removed when the transaction commits.
    """
    values = {_NEW + name: value for name, value in changes.items()}
    pending, rows = pending_invalidations(tx), []
    new = manager_of_class(model).new_instance
    for found in tx.connection().execute(statement, values | which).mappings():
        row = new()
        vars(row).update(found)
        make_transient_to_detached(row)
        pending.keys.update(model.cache_keys(vars(row)))
        rows.append(row)
    return rows


def wait_briefly_for_locks(tx: Transaction) -> None:
    """Have statements that wait for a lock fail soon. On SQLite the transaction has the only one.

    Two transactions that lock several rows may wait for each other. This ends before PostgreSQL
    looks for such deadlocks, which it does after a second.
    """
    if tx.get_bind().dialect.name == "postgresql":
        tx.connection().exec_driver_sql("SET LOCAL lock_timeout = '50ms'")


def claiming(model: Any, names: tuple[str, ...], *conditions: ColumnElement[bool]) -> Update:
    """Sets these columns of the next jobs, `most` at most, and returns the rows."""
    jobs = _columns(model)
    following = (
        select(jobs.id)
        .where(jobs.turn.is_not(None), jobs.due_at.is_not(None), *conditions)
        .order_by(jobs.turn)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )
    statement = _setting(model, names).where(jobs.id.in_(following))
    return statement.values(attempts=jobs.attempts + 1)


claiming_any = cache(claiming)


@cache
def ending(model: Any, names: tuple[str, ...]) -> Update:
    """Sets these columns of a claimed row, and returns the row."""
    jobs = _columns(model)
    return _setting(model, names).where(
        jobs.id == bindparam("held_id"), jobs.lease_token == bindparam("held_token")
    )


@cache
def ending_unless_cancelled(model: Any, names: tuple[str, ...]) -> Update:
    """The same, of a row that nobody has cancelled."""
    return ending(model, names).where(_columns(model).cancel_requested_at.is_(None))


def open_jobs(model: Any) -> Select[Any]:
    """Finds a row if any job waits or runs."""
    waiting, running = model.due_at.is_not(None), model.lease_until.is_not(None)
    return select(literal(1)).where(or_(*(exists().where(each) for each in (waiting, running))))


@cache
def ending_all(model: Any, names: tuple[str, ...], count: int) -> Update:
    """Sets these columns of `count` claimed rows that nobody has cancelled. See `all_held`."""
    jobs = _columns(model)
    are_held = (
        and_(jobs.id == bindparam(f"held_id_{n}"), jobs.lease_token == bindparam(f"held_token_{n}"))
        for n in range(count)
    )
    return _setting(model, names).where(or_(*are_held), jobs.cancel_requested_at.is_(None))


def all_held(held: Collection[tuple[int, str]]) -> dict[str, Any]:
    """The parameters of `ending_all` from the ids and tokens of claims."""
    ids = {f"held_id_{n}": job_id for n, (job_id, _) in enumerate(held)}
    return ids | {f"held_token_{n}": token for n, (_, token) in enumerate(held)}


@cache
def looking(model: Any) -> Select[Any]:
    """The query of `Jobs.look`."""
    now = bindparam("now", type_=UtcDateTime)
    lost = select(model.id).where(model.lease_until < now).order_by(model.lease_until)
    delayed = select(model.id).where(model.turn.is_(None), model.due_at <= now)
    ready = select(model.id).where(model.turn.is_not(None), model.due_at.is_not(None))
    found = (lost, delayed.order_by(model.due_at), ready.order_by(model.turn))
    return select(*(each.limit(1).scalar_subquery() for each in found))


def lost(model: type[Row], now: datetime, most: int) -> Select[Row]:
    """Locks the jobs whose leases have ended."""
    is_lost = select(model).where(model.lease_until < now)
    return is_lost.order_by(model.lease_until).limit(most).with_for_update(skip_locked=True)


def delayed(model: type[JobRow], now: datetime, most: int) -> Select[int]:
    """Locks the jobs that have become due and have no turn yet. Their ids."""
    is_due = select(model.id).where(model.turn.is_(None), model.due_at <= now)
    return is_due.order_by(model.due_at).limit(most).with_for_update(skip_locked=True)


def held(model: type[Row], job_id: int, token: str) -> Select[Row]:
    """The job, if it is claimed under this token."""
    return select(model).where(model.id == job_id, model.lease_token == token)


def any_held(model: type[Row], ids: Collection[int], tokens: Collection[str]) -> Select[Row]:
    """Locks those of the jobs that are claimed under one of the tokens."""
    is_held = select(model).where(model.id.in_(ids), model.lease_token.in_(tokens))
    return is_held.with_for_update(skip_locked=True)


def _columns(model: Any) -> Any:
    return model.__table__.c


def _setting(model: Any, names: tuple[str, ...]) -> Update:
    table = model.__table__
    values = {name: bindparam(_NEW + name, type_=table.c[name].type) for name in names}
    return update(table).values(values).returning(*table.c)
