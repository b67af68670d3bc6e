"""Tasks, flights, bookings, files."""

import sqlalchemy as sa
from alembic import op

from common.pyportal_common.db.migrations import create_cache_invalidations, create_jobs_table

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_cache_invalidations()
    create_jobs_table(
        "tasks",
        sa.Column("reference", sa.String(20), nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("task_type", sa.String(50), nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("idempotency_key", sa.String(64)),
        sa.UniqueConstraint("reference", name="uq_tasks_reference"),
        sa.UniqueConstraint("user_id", "idempotency_key", name="uq_tasks_user_id_idempotency_key"),
    )
    op.create_index("ix_tasks_user_id_id", "tasks", ["user_id", "id"])
    op.create_index("ix_tasks_user_id_status_id", "tasks", ["user_id", "status", "id"])
    op.create_table(
        "flights",
        sa.Column("id", _ID, nullable=False),
        sa.Column("flight_number", sa.String(6), nullable=False),
        sa.Column("origin", sa.String(3), nullable=False),
        sa.Column("destination", sa.String(3), nullable=False),
        sa.Column("departs_at", _MOMENT, nullable=False),
        sa.Column("total_seats", sa.Integer, nullable=False),
        sa.Column("available_seats", sa.Integer, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_flights"),
        sa.UniqueConstraint(
            "flight_number", "departs_at", name="uq_flights_flight_number_departs_at"
        ),
        sa.CheckConstraint(
            "available_seats BETWEEN 0 AND total_seats", name="ck_flights_available_seats"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "bookings",
        sa.Column("task_id", _ID, nullable=False),
        sa.Column("flight_id", _ID, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("seats", sa.Integer, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("cancelled_at", _MOMENT),
        sa.PrimaryKeyConstraint("task_id", name="pk_bookings"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_bookings_task_id_tasks"),
        sa.ForeignKeyConstraint(
            ["flight_id"], ["flights.id"], name="fk_bookings_flight_id_flights"
        ),
    )
    op.create_index("ix_bookings_flight_id", "bookings", ["flight_id"])
    op.create_table(
        "file_parts",
        sa.Column("task_id", _ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("task_id", "number", name="pk_file_parts"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_file_parts_task_id_tasks"),
    )
    op.create_index("ix_file_parts_created_at", "file_parts", ["created_at"])


def downgrade() -> None:
    for table in ("file_parts", "bookings", "flights", "tasks", "cache_invalidations"):
        op.drop_table(table)
