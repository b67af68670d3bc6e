"""Why invalidations failed, and when they are retried."""

from common.pyportal_common.db.migrations import (
    add_invalidation_failures,
    drop_invalidation_failures,
)

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    add_invalidation_failures()


def downgrade() -> None:
    drop_invalidation_failures()
