"""The operations of a service."""

from pathlib import Path

from ..jobs.services import BaseServices
from .caches import CacheOperations
from .databases import DatabaseOperations
from .doctor import Doctor
from .jobs import JobOperations
from .kinds import KindOperations
from .limits import LimitOperations
from .outbox import OutboxOperations
from .sessions import SessionOperations


class Operations:
    """All operations of a service, made of what it works with. Opens no connection."""

    def __init__(self, services: BaseServices, migrations: Path) -> None:
        database, audit, outbox = services.database, services.audit, services.outbox
        self.service = services.name
        self.audit = audit
        kinds = [jobs for jobs, _ in services.handlers]
        self.jobs = JobOperations(database, kinds, audit, attempts=services.attempts)
        self.job_kinds = KindOperations(
            database,
            kinds if outbox is None else [*kinds, outbox],
            audit,
            services.pauses,
            services.scheduler,
        )
        self.outbox = None if outbox is None else OutboxOperations(outbox, audit)
        self.sessions: SessionOperations | None = None
        if services.revokes_sessions:
            self.sessions = SessionOperations(
                database,
                services.session_store,
                audit,
                services.raise_epoch,
                services.find_user_id,
            )
        self.limits = LimitOperations(
            services.limiter,
            services.overrides_in_force.declared,
            services.limit_overrides,
            audit,
            roles=services.roles,
        )
        client = services.redis_client
        self.caches = CacheOperations(
            client,
            database,
            audit,
            service=services.name,
            verifier=lambda: services.cache_verifier,
            kinds=services.cache_kinds(),
        )
        clients = {"caches": client, "sessions": services.session_store.client}
        self.databases = DatabaseOperations(clients)
        self.doctor = Doctor.of(services, clients, migrations)
