"""Schedules, pauses, and messages by the service that receives them."""

from common.pyportal_common.db.migrations import (
    create_schedules,
    drop_schedules,
    index_outbox_as_jobs,
    index_outbox_by_service,
)

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    create_schedules()
    index_outbox_by_service()


def downgrade() -> None:
    index_outbox_as_jobs()
    drop_schedules()
