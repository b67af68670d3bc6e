"""Indexes of the list of deliveries of one type of events."""

from alembic import op

revision = "0010"
down_revision = "0009"

_DELIVERIES = "webhook_deliveries"
_INDEXES = (
    ("webhook_id", "event_type", "id"),
    ("webhook_id", "event_type", "status", "id"),
)


def upgrade() -> None:
    for columns in _INDEXES:
        op.create_index("_".join(("ix", _DELIVERIES, *columns)), _DELIVERIES, columns)


def downgrade() -> None:
    for columns in _INDEXES:
        op.drop_index("_".join(("ix", _DELIVERIES, *columns)), _DELIVERIES)
