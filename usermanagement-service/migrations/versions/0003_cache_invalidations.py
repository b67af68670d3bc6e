"""The records of invalidations."""

from alembic import op

from common.pyportal_common.db.migrations import create_cache_invalidations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_cache_invalidations()


def downgrade() -> None:
    op.drop_table("cache_invalidations")
