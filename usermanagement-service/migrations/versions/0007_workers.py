"""The heartbeats of workers, and indexes of due and of failed messages."""

from alembic import op

from common.pyportal_common.db.migrations import create_partial_index, create_workers

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    create_workers()
    create_partial_index("ix_events_due_at", "events", ["due_at"], "due_at IS NOT NULL")
    create_partial_index("ix_events_failed", "events", ["service"], "status = 'failed'")


def downgrade() -> None:
    op.drop_index("ix_events_failed", "events")
    op.drop_index("ix_events_due_at", "events")
    op.drop_table("workers")
