"""The audit log that all services have, in place of the table of what admins did."""

import json

import sqlalchemy as sa
from alembic import op

from common.pyportal_common.db.migrations import (
    create_audit,
    index_failed_messages,
    index_failed_messages_by_service,
)

revision = "0011"
down_revision = "0010"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_ACTIONS = {"list sessions": "sessions list"}
_BATCH = 1000

_OLD = sa.table(
    "admin_actions",
    *(sa.column(name) for name in ("id", "actor_id", "user_id", "action", "session")),
    sa.column("at", sa.DateTime(timezone=True)),
)
_NEW = sa.table(
    "audit",
    *(sa.column(name) for name in ("actor", "action", "target", "filter", "request_id")),
    sa.column("at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    create_audit()
    last_id = 0
    while rows := _rows_after(last_id):
        op.bulk_insert(_NEW, [_entry(row) for row in rows])
        last_id = rows[-1].id
    op.drop_table("admin_actions")
    index_failed_messages()


def _rows_after(last_id: int) -> list[sa.Row]:
    found = sa.select(_OLD).where(_OLD.c.id > last_id).order_by(_OLD.c.id).limit(_BATCH)
    return op.get_bind().execute(found).all()


def _entry(row: sa.Row) -> dict[str, object]:
    return {
        "at": row.at,
        "actor": f"user={row.actor_id}",
        "action": _ACTIONS.get(row.action, "sessions revoke"),
        "target": f"user={row.user_id}",
        "filter": json.dumps({"session": row.session} if row.session else {}),
        "request_id": "",
    }


def downgrade() -> None:
    """The entries are lost: the earlier version has no columns for most of them."""
    op.create_table(
        "admin_actions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("actor_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("session", sa.String(16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_admin_actions"),
    )
    op.create_index("ix_admin_actions_user_id", "admin_actions", ["user_id"])
    op.create_index("ix_admin_actions_at", "admin_actions", ["at"])
    op.drop_table("audit")
    index_failed_messages_by_service()
