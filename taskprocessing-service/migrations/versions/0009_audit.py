"""The audit log, and an index for lists of the tasks in a state."""

from alembic import op

from common.pyportal_common.db.migrations import (
    create_audit,
    index_failed_messages,
    index_failed_messages_by_service,
    index_jobs_by_status,
)

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    create_audit()
    index_jobs_by_status("tasks")
    index_failed_messages()


def downgrade() -> None:
    op.drop_index("ix_tasks_status_id", "tasks")
    op.drop_table("audit")
    index_failed_messages_by_service()
