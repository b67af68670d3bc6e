"""Events, links that are mailed, when an address was verified, and from where users log in."""

import sqlalchemy as sa
from alembic import op

from common.pyportal_common.db.migrations import create_outbox

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("users", sa.Column("email_verified_at", _MOMENT))
    op.create_table(
        "user_tokens",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("purpose", sa.String(10), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("used_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_user_tokens"),
        sa.UniqueConstraint("digest", name="uq_user_tokens_digest"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_user_tokens_user_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_user_tokens_user_id", "user_tokens", ["user_id"])
    op.create_index("ix_user_tokens_expires_at", "user_tokens", ["expires_at"])
    op.create_table(
        "login_addresses",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("network", sa.String(50), nullable=False),
        sa.Column("first_seen_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "network", name="pk_login_addresses"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_login_addresses_user_id_users", ondelete="CASCADE"
        ),
    )
    create_outbox(sa.Column("user_id", sa.BigInteger), sa.Column("expires_at", _MOMENT))
    op.create_index("ix_events_user_id", "events", ["user_id"])
    op.create_index("ix_events_finished_at", "events", ["finished_at"])


def downgrade() -> None:
    for table in ("events", "login_addresses", "user_tokens"):
        op.drop_table(table)
    op.drop_column("users", "email_verified_at")
