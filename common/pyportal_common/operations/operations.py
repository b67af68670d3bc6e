"""The operations of a service."""

from ..jobs.services import BaseServices
from .jobs import JobOperations
from .outbox import OutboxOperations


class Operations:
    """All operations of a service, made of what it works with. Opens no connection."""

    def __init__(self, services: BaseServices) -> None:
        database, outbox = services.database, services.outbox
        self.audit = services.audit
        self.jobs = JobOperations(
            database,
            [jobs for jobs, _ in services.handlers],
            services.audit,
            services.pauses,
            services.scheduler,
            more_kinds=[] if outbox is None else [outbox],
        )
        self.outbox = None if outbox is None else OutboxOperations(outbox, services.audit)
