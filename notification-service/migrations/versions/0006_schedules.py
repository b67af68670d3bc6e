"""Schedules and pauses."""

from common.pyportal_common.db.migrations import create_schedules, drop_schedules

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    create_schedules()


def downgrade() -> None:
    drop_schedules()
