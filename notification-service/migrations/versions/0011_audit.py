"""The audit log, and indexes for lists of the notifications and deliveries in a state."""

from alembic import op

from common.pyportal_common.db.migrations import create_audit, index_jobs_by_status

revision = "0011"
down_revision = "0010"

_TABLES = ("notifications", "webhook_deliveries")


def upgrade() -> None:
    create_audit()
    index_jobs_by_status(*_TABLES)


def downgrade() -> None:
    for table in _TABLES:
        op.drop_index(f"ix_{table}_status_id", table)
    op.drop_table("audit")
