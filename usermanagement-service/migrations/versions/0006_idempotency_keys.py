"""Idempotency keys and the responses kept for them."""

from alembic import op

from common.pyportal_common.db.migrations import create_idempotency_keys

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    create_idempotency_keys()


def downgrade() -> None:
    op.drop_table("idempotency_keys")
