"""The order in which workers claim jobs: by priority and age, and fairly between owners.

A job's turn is a virtual time in milliseconds: when it became due, later by some seconds for a
lower priority, and later by a second for each job of the same owner that already waits. The lowest
turn is claimed first, also if that time has not come. So one user's thousand tasks do not delay
another user's only one, and a job waits at most `LATEST` seconds longer than in the order of time.
The idea is that of start-time fair queueing (Goyal, Vin, Cheng, 1996).
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, case, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from .models import JobRow

_OFFSETS = {"high": 0, "normal": 30, "low": 300}  # seconds
_SPACING = 1  # seconds for each waiting job of the owner
_MOST_COUNTED = 600  # of them

LATEST = max(_OFFSETS.values()) + _SPACING * _MOST_COUNTED
"""The longest time that a job may wait while jobs that came later are claimed, in seconds."""


def turn_of(row: JobRow, now: datetime, owner: InstrumentedAttribute[Any] | None) -> Any:
    """The turn of a job that is due: a number, or an expression that counts the owner's jobs."""
    at = _milliseconds(now) + 1000 * _OFFSETS[row.priority]
    owned_by = getattr(row, owner.key) if owner is not None else None
    if owner is None or owned_by is None:
        return at
    waiting = _waiting(type(row), owner, owned_by).scalar_subquery()
    return literal(at, BigInteger) + 1000 * _SPACING * waiting


def turn_by_priority(model: type[JobRow], now: datetime) -> ColumnElement[int]:
    """The turns of jobs that become due: their owners are not considered again."""
    offsets = case({name: 1000 * each for name, each in _OFFSETS.items()}, value=model.priority)
    return literal(_milliseconds(now), BigInteger) + offsets


def _waiting(model: type[JobRow], owner: InstrumentedAttribute[Any], owned_by: Any) -> Select[int]:
    waiting = select(model.id).where(owner == owned_by, model.status == model.STATES.waiting)
    return select(func.count()).select_from(waiting.limit(_MOST_COUNTED).subquery())


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
