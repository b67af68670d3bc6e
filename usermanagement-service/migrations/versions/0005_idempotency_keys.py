"""Idempotency keys and the responses kept for them."""

from alembic import op

from common.pyportal_common.db.migrations import create_idempotency_keys

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    create_idempotency_keys()


def downgrade() -> None:
    op.drop_table("idempotency_keys")
