"""The idempotency keys of users move from the notifications to a table of their own."""

from alembic import op

from common.pyportal_common.db.migrations import create_idempotency_keys

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_idempotency_keys()
    op.execute("UPDATE notifications SET idempotency_key = NULL WHERE source LIKE 'user=%'")


def downgrade() -> None:
    op.drop_table("idempotency_keys")
