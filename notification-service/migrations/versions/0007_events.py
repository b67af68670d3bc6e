"""Events for webhooks, and their deliveries."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from common.pyportal_common.db.migrations import (
    create_jobs_table,
    create_partial_index,
    order_jobs_by_turn,
)

revision = "0007"
down_revision = "0006"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOMENT = sa.DateTime(timezone=True)
_DELIVERIES = "webhook_deliveries"


def _new_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("event_types", sa.JSON),
        sa.Column("previous_secret", sa.String(100)),
        sa.Column("previous_secret_until", _MOMENT),
        sa.Column("sequence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("failing_since", _MOMENT),
        sa.Column("disabled_at", _MOMENT),
        sa.Column("disabled_reason", sa.String(200)),
    ]


def upgrade() -> None:
    with op.batch_alter_table("webhooks") as table:
        for column in _new_columns():
            table.add_column(column)
    # Until now they received only messages: their owners did not ask for more.
    op.execute("UPDATE webhooks SET event_types = '[]'")
    _create_events()
    _create_deliveries()
    _create_attempts()


def _create_events() -> None:
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("type", sa.String(50), nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_events"),
    )
    for column in ("user_id", "created_at"):
        op.create_index(f"ix_webhook_events_{column}", "webhook_events", [column])


def _create_deliveries() -> None:
    create_jobs_table(
        _DELIVERIES,
        sa.Column("webhook_id", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.String(40), nullable=False),
        sa.Column("event_type", sa.String(50), nullable=False),
        sa.UniqueConstraint(
            "webhook_id", "sequence", name="uq_webhook_deliveries_webhook_id_sequence"
        ),
        sa.UniqueConstraint(
            "event_id", "webhook_id", name="uq_webhook_deliveries_event_id_webhook_id"
        ),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["webhook_events.id"],
            name="fk_webhook_deliveries_event_id_webhook_events",
            ondelete="CASCADE",
        ),
    )
    order_jobs_by_turn(_DELIVERIES)
    create_partial_index(
        "ix_webhook_deliveries_due_at", _DELIVERIES, ["due_at"], "due_at IS NOT NULL"
    )
    for columns in (["webhook_id", "id"], ["webhook_id", "status", "id"]):
        op.create_index("_".join(("ix", _DELIVERIES, *columns)), _DELIVERIES, columns)


def _create_attempts() -> None:
    op.create_table(
        "webhook_attempts",
        sa.Column("delivery_id", _ID, nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT),
        sa.Column("outcome", sa.String(20)),
        sa.Column("answer", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("delivery_id", "token", name="pk_webhook_attempts"),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["webhook_deliveries.id"],
            name="fk_webhook_attempts_delivery_id_webhook_deliveries",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    for table in ("webhook_attempts", _DELIVERIES, "webhook_events"):
        op.drop_table(table)
    with op.batch_alter_table("webhooks") as table:
        for column in reversed(_new_columns()):
            table.drop_column(column.name)
