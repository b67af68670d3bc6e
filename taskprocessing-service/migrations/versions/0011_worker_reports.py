"""What workers report with their heartbeats: their metrics."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("workers", sa.Column("report", sa.Text))


def downgrade() -> None:
    op.drop_column("workers", "report")
