"""Authenticator apps, passkeys, backup codes, and what is pending about them."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create(
        "authenticator_apps",
        ["user_id"],
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("seed", sa.Text, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
    )
    _create(
        "passkeys",
        ["id"],
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("credential_id", sa.Text, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("last_used_at", _MOMENT),
        sa.UniqueConstraint("credential_id", name="uq_passkeys_credential_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_passkeys_user_id", "passkeys", ["user_id"])
    _create(
        "backup_codes",
        ["user_id", "digest"],
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    _create(
        "factor_challenges",
        ["digest"],
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(10), nullable=False),
        sa.Column("user_id", _ID),
        sa.Column("seed", sa.Text),
        sa.Column("expires_at", _MOMENT, nullable=False),
    )
    op.create_index("ix_factor_challenges_user_id", "factor_challenges", ["user_id"])
    op.create_index("ix_factor_challenges_expires_at", "factor_challenges", ["expires_at"])
    _create(
        "factor_removals",
        ["user_id"],
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("requested_at", _MOMENT, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
    )
    op.create_index("ix_factor_removals_due_at", "factor_removals", ["due_at"])


def _create(table: str, key: list[str], *columns: sa.schema.SchemaItem, **options: bool) -> None:
    """Create a table of what belongs to a user."""
    op.create_table(
        table,
        *columns,
        sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE"
        ),
        **options,
    )


def downgrade() -> None:
    """The factors of all users are lost: the earlier version asks nobody for one."""
    for table in (
        "factor_removals",
        "factor_challenges",
        "backup_codes",
        "passkeys",
        "authenticator_apps",
    ):
        op.drop_table(table)
