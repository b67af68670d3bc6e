"""Conditions of lists."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from common.pyportal_common.web import PageQuery

from .models import Task


def equal_to(search: PageQuery, **columns: InstrumentedAttribute[Any]) -> list[ColumnElement[bool]]:
    """For each parameter that is given: its column has that value."""
    wanted = ((column, getattr(search, name)) for name, column in columns.items())
    return [column == value for column, value in wanted if value is not None]


def created_on(day: date, user_id: int, list_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """The tasks that the user created on this day, in UTC. `list_id` is the column of their ids.

    They are those between two ids, so that any index of the list finds them. Ids are in the order
    of time, but for what the clocks of processes differ by: as much before midnight, a task may be
    found on the next day, or the other way round. With a condition on the times, too, PostgreSQL
    would rather read and sort the whole day.
    """
    begin = datetime.combine(day, time(), UTC)
    ids, created_at = select(Task.id).where(Task.user_id == user_id), Task.created_at
    first = ids.where(created_at >= begin).order_by(created_at).limit(1)
    last = ids.where(created_at < begin + timedelta(days=1)).order_by(created_at.desc()).limit(1)
    return list_id.between(first.scalar_subquery(), last.scalar_subquery())
