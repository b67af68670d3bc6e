"""A small service with jobs, an outbox and a console, for tests."""

from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import MetaData, select

from common.pyportal_common.admin import register_operations
from common.pyportal_common.admin_settings import AdminSettings
from common.pyportal_common.cache_handlers import Policy, keys
from common.pyportal_common.db import RECORDS, Transaction, add_audit_table
from common.pyportal_common.db.consistency import CacheKind
from common.pyportal_common.db.limit_overrides import add_overrides_table
from common.pyportal_common.jobs import NO_HINTS
from common.pyportal_common.jobs.heartbeats import add_workers_table
from common.pyportal_common.jobs.outbox import BaseOutbox, OutboxSettings
from common.pyportal_common.jobs.services import BaseServices
from common.pyportal_common.jobs.ticks import add_schedule_tables
from common.pyportal_common.outbound import CircuitBreakers
from common.pyportal_common.web import create_service

from .. import outboxes
from ..operations import Operation, Table, new_operation

BOOKING_CACHING = Policy(60)


class Services(BaseServices):
    """Jobs and an outbox, and the caches of a real service.

    With `has_users` it is the service with the sessions of users.
    """

    def __init__(self, settings: AdminSettings, *, has_users: bool = False) -> None:
        super().__init__("taskprocessing", settings, redis_db=5, revokes_sessions=has_users)
        self.bookings: dict[int, dict[str, Any]] = {}
        self.table = Table(self.database)
        self.messages = self.outbox = BaseOutbox(
            outboxes.Message,
            self.database,
            NO_HINTS,
            self.worker_settings,
            OutboxSettings(notification_url="http://localhost:1", service_token=outboxes.TOKEN),
            CircuitBreakers(),
        )
        self.handlers = [(self.table.jobs, lambda _: None)]

    def cache_kinds(self) -> list[CacheKind]:
        """One kind: its values are in `bookings`."""
        return [CacheKind(keys.booking, self.bookings.get, BOOKING_CACHING)]

    def find_user_id(self, name: str) -> int | None:
        """There is one user."""
        return 7 if name in {"john", "john@example.com"} else None

    def raise_epoch(self, tx: Transaction, user_id: int) -> int:  # noqa: ARG002
        """All sessions are of one epoch."""
        return 1

    def create_tables(self) -> None:
        """Create empty tables."""
        self.table.create()
        outboxes.Base.metadata.drop_all(self.database.engine)
        outboxes.Base.metadata.create_all(self.database.engine)
        metadata = MetaData()
        for add in (add_audit_table, add_overrides_table, add_schedule_tables, add_workers_table):
            add(metadata)
        RECORDS.to_metadata(metadata)
        metadata.drop_all(self.database.engine)
        metadata.create_all(self.database.engine)


def create_app(settings: AdminSettings, services: Services, tmp_path: Path) -> Flask:
    """The app of the service."""
    app = create_service(
        "shop",
        settings,
        title="Shop",
        stores=services.stores,
        database=services.database,
        checks=[services.monitor],
    )
    app.extensions["operations"] = register_operations(app, services, tmp_path, settings)
    return app


def put_failed(table: Table, count: int = 1, **options: Any) -> list[int]:
    """Commit failed jobs, and return their ids."""
    ids = table.put(*(new_operation(**options) for _ in range(count)))
    with table.database.begin() as tx:
        for row in tx.scalars(select(Operation).where(Operation.id.in_(ids))):
            row.apply(row.ended(row.created_at, "failed", "It rains"))
    return ids


def put_failed_messages(services: Services, count: int = 1) -> list[int]:
    """Commit messages that have failed, and return their ids."""
    with services.database.begin() as tx:
        messages = [
            services.messages.publish(tx, outboxes.Message(), {"template": "welcome"})
            for _ in range(count)
        ]
        for message in messages:
            message.apply(message.ended(message.created_at, "failed", "Status 500"))
    return [message.id for message in messages]
