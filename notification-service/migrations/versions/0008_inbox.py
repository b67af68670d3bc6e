"""What the inbox shows of notifications, and whether they were read."""

import sqlalchemy as sa
from alembic import op

from common.pyportal_common.db.migrations import create_partial_index

revision = "0008"
down_revision = "0007"

_NAMES = ("title", "text", "link", "read_at")


def upgrade() -> None:
    with op.batch_alter_table("notifications") as table:
        table.add_column(sa.Column("title", sa.String(300)))
        table.add_column(sa.Column("text", sa.String(200)))
        table.add_column(sa.Column("link", sa.String(100)))
        table.add_column(sa.Column("read_at", sa.DateTime(timezone=True)))
    # Those of before there was an inbox count as read.
    op.execute("UPDATE notifications SET title = subject, read_at = updated_at")
    create_partial_index(
        "ix_notifications_unread", "notifications", ["user_id", "id"], "read_at IS NULL"
    )


def downgrade() -> None:
    op.drop_index("ix_notifications_unread", "notifications")
    with op.batch_alter_table("notifications") as table:
        for name in reversed(_NAMES):
            table.drop_column(name)
