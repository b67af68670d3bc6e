"""Rate limits that operators change while the services run."""

from alembic import op

from common.pyportal_common.db.migrations import create_limit_overrides

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    create_limit_overrides()


def downgrade() -> None:
    op.drop_table("rate_limit_overrides")
