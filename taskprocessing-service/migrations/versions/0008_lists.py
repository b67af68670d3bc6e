"""Indexes for the lists of tasks, flights and bookings, and the day on which a flight departs."""

import sqlalchemy as sa
from alembic import op

from common.pyportal_common.db.migrations import create_partial_index

revision = "0008"
down_revision = "0007"

_DEPARTS_ON = {
    "sqlite": "UPDATE flights SET departs_on = date(departs_at)",
    "postgresql": "UPDATE flights SET departs_on = (departs_at AT TIME ZONE 'UTC')::date",
}
_INDEXES = {
    "tasks": (["task_type", "id"], ["task_type", "status", "id"], ["created_at"]),
    "flights": (
        ["departs_on", "id"],
        ["origin", "departs_on", "id"],
        ["destination", "departs_on", "id"],
        ["origin", "destination", "departs_on", "id"],
    ),
    "bookings": (["task_id"],),
}
_OF_A_STATUS = {"confirmed": "cancelled_at IS NULL", "cancelled": "cancelled_at IS NOT NULL"}


def upgrade() -> None:
    op.add_column("flights", sa.Column("departs_on", sa.Date))
    op.execute(_DEPARTS_ON[op.get_bind().dialect.name])
    for name, table, columns in _indexes():
        op.create_index(name, table, columns)
    for status, where in _OF_A_STATUS.items():
        create_partial_index(f"ix_bookings_{status}", "bookings", ["user_id", "task_id"], where)


def downgrade() -> None:
    for status in _OF_A_STATUS:
        op.drop_index(f"ix_bookings_{status}", "bookings")
    for name, table, _ in _indexes():
        op.drop_index(name, table)
    op.drop_column("flights", "departs_on")


def _indexes() -> list[tuple[str, str, list[str]]]:
    return [
        ("_".join(("ix", table, *of_user, *columns)), table, [*of_user, *columns])
        for table, each in _INDEXES.items()
        for columns in each
        for of_user in ([] if table == "flights" else ["user_id"],)
    ]
