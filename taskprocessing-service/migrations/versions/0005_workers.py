"""The heartbeats of workers, the users of messages, and indexes for lists and housekeeping."""

import sqlalchemy as sa
from alembic import op

from common.pyportal_common.db.migrations import create_partial_index, create_workers

revision = "0005"
down_revision = "0004"

_FLIGHT_INDEXES = (["origin", "id"], ["destination", "id"], ["origin", "destination", "id"])
_USER_IDS = {
    "sqlite": "UPDATE events SET user_id = json_extract(body, '$.userId')",
    "postgresql": "UPDATE events SET user_id = CAST(body ->> 'userId' AS BIGINT)",
}


def upgrade() -> None:
    create_workers()
    op.add_column("events", sa.Column("user_id", sa.BigInteger))
    op.execute(_USER_IDS[op.get_bind().dialect.name])
    op.create_index("ix_events_user_id", "events", ["user_id"])
    op.create_index("ix_events_finished_at", "events", ["finished_at"])
    create_partial_index("ix_events_failed", "events", ["service"], "status = 'failed'")
    for table in ("events", "tasks"):
        create_partial_index(f"ix_{table}_due_at", table, ["due_at"], "due_at IS NOT NULL")
    for columns in _FLIGHT_INDEXES:
        op.create_index("_".join(("ix_flights", *columns)), "flights", columns)


def downgrade() -> None:
    for columns in _FLIGHT_INDEXES:
        op.drop_index("_".join(("ix_flights", *columns)), "flights")
    for table in ("events", "tasks"):
        op.drop_index(f"ix_{table}_due_at", table)
    for index in ("failed", "finished_at", "user_id"):
        op.drop_index(f"ix_events_{index}", "events")
    op.drop_column("events", "user_id")
    op.drop_table("workers")
