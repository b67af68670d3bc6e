"""Conditions of lists."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from common.pyportal_common.web import PageQuery

from .models import Task

_CLOCKS_DIFFER = timedelta(minutes=1)


def equal_to(search: PageQuery, **columns: InstrumentedAttribute[Any]) -> list[ColumnElement[bool]]:
    """For each parameter that is given: its column has that value."""
    wanted = ((column, getattr(search, name)) for name, column in columns.items())
    return [column == value for column, value in wanted if value is not None]


def created_on(
    day: date, user_id: int, list_id: InstrumentedAttribute[int]
) -> tuple[ColumnElement[bool], ...]:
    """The tasks that the user created on this day, in UTC. `list_id` is the column of their ids.

    Lists are in the order of ids, so bounds of the ids let any index of a list find the day. Ids
    are in the order of time, but for what the clocks of processes differ by.
    """
    begin = datetime.combine(day, time(), UTC)
    end = begin + timedelta(days=1)
    ids, created_at = select(Task.id).where(Task.user_id == user_id), Task.created_at
    first = ids.where(created_at >= begin - _CLOCKS_DIFFER).order_by(created_at).limit(1)
    last = ids.where(created_at < end + _CLOCKS_DIFFER).order_by(created_at.desc()).limit(1)
    return (
        Task.user_id == user_id,
        list_id.between(first.scalar_subquery(), last.scalar_subquery()),
        created_at >= begin,
        created_at < end,
    )
