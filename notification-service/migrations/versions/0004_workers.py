"""The heartbeats of workers, and an index of due notifications."""

from alembic import op

from common.pyportal_common.db.migrations import create_partial_index, create_workers

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    create_workers()
    create_partial_index(
        "ix_notifications_due_at", "notifications", ["due_at"], "due_at IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_index("ix_notifications_due_at", "notifications")
    op.drop_table("workers")
