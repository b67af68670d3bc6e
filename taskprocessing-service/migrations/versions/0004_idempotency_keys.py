"""Idempotency keys move from the tasks to a table of their own."""

import sqlalchemy as sa
from alembic import op

from common.pyportal_common.db.migrations import create_idempotency_keys

revision = "0004"
down_revision = "0003"

_CONSTRAINT = "uq_tasks_user_id_idempotency_key"
_SQLITE = {"table_kwargs": {"sqlite_autoincrement": True}}  # SQLAlchemy does not find it


def upgrade() -> None:
    create_idempotency_keys()
    with op.batch_alter_table("tasks", **_SQLITE) as tasks:
        tasks.drop_constraint(_CONSTRAINT, type_="unique")
        tasks.drop_column("idempotency_key")


def downgrade() -> None:
    with op.batch_alter_table("tasks", **_SQLITE) as tasks:
        tasks.add_column(sa.Column("idempotency_key", sa.String(64)))
        tasks.create_unique_constraint(_CONSTRAINT, ["user_id", "idempotency_key"])
    op.drop_table("idempotency_keys")
