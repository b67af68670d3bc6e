"""Jobs are claimed by their turns."""

from common.pyportal_common.db.migrations import order_jobs_by_sending, order_jobs_by_turn

revision = "0008"
down_revision = "0007"

_TABLES = ("events",)


def upgrade() -> None:
    order_jobs_by_turn(*_TABLES)


def downgrade() -> None:
    order_jobs_by_sending(*_TABLES)
