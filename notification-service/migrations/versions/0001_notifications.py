"""Notifications, attempts, webhooks."""

import sqlalchemy as sa
from alembic import op

from common.pyportal_common.db.migrations import create_cache_invalidations, create_jobs_table

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_cache_invalidations()
    create_jobs_table(
        "notifications",
        sa.Column("message_id", sa.String(40), nullable=False),
        sa.Column("source", sa.String(50), nullable=False),
        sa.Column("user_id", sa.BigInteger),
        sa.Column("channel", sa.String(10), nullable=False),
        sa.Column("recipient", sa.Text),
        sa.Column("template", sa.String(50)),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("subject", sa.String(200)),
        sa.Column("message", sa.Text),
        sa.Column("idempotency_key", sa.String(64)),
        sa.UniqueConstraint("message_id", name="uq_notifications_message_id"),
        sa.UniqueConstraint(
            "source", "idempotency_key", name="uq_notifications_source_idempotency_key"
        ),
    )
    op.create_index("ix_notifications_user_id_id", "notifications", ["user_id", "id"])
    op.create_index(
        "ix_notifications_user_id_status_id", "notifications", ["user_id", "status", "id"]
    )
    op.create_table(
        "attempts",
        sa.Column("notification_id", _ID, nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT),
        sa.Column("outcome", sa.String(20)),
        sa.Column("answer", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("notification_id", "token", name="pk_attempts"),
        sa.ForeignKeyConstraint(
            ["notification_id"],
            ["notifications.id"],
            name="fk_attempts_notification_id_notifications",
        ),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("secret", sa.String(100), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        sa.UniqueConstraint("user_id", "url", name="uq_webhooks_user_id_url"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    for table in ("webhooks", "attempts", "notifications", "cache_invalidations"):
        op.drop_table(table)
