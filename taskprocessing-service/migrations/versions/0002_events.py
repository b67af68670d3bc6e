"""The outbox of messages to Notification."""

from alembic import op

from common.pyportal_common.db.migrations import create_outbox

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_outbox()


def downgrade() -> None:
    op.drop_table("events")
