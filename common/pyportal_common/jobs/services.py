"""The dependencies that the services have in common."""

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from .. import spans
from ..cache_handlers import RedisClient, RedisSettings, Stores, declared_in, keys
from ..db import (
    Act,
    Actor,
    Audit,
    Database,
    IdempotencyKeys,
    LimitOverride,
    LimitOverrides,
    OverridesInForce,
    Transaction,
)
from ..db.consistency import CacheKind, CacheMonitor, CacheVerifier
from ..findings import Check
from ..settings import ConfigurationError, ServiceSettings
from .attempts import AttemptsOf
from .hints import Hints
from .monitor import JobsMonitor
from .outbox import BaseOutbox
from .outbox_delivery import OutboxDelivery
from .pauses import Pauses
from .runner import JobHandler
from .schedules import Schedule, Scheduler
from .settings import WorkerSettings
from .store import Jobs

logger = logging.getLogger(__name__)


class BaseServices:
    """The dependencies of a service, made once and used by routes, commands and workers.

    Each service derives from it and adds its own. Only the one that `revokes_sessions` repeats the
    revocations that a restarted server of sessions has lost. Opens no connection. Raises
    ConfigurationError.
    """

    handlers: Sequence[tuple[Jobs[Any], JobHandler]] = ()
    """The jobs that workers run, and the function that runs each kind."""

    attempts: Mapping[str, AttemptsOf] = {}
    """What finds the attempts at a job, for the kinds of jobs that record them."""

    outbox: BaseOutbox[Any] | None = None
    """The messages to other services, which workers deliver."""

    roles: Sequence[str] = ("user", "admin")
    """The roles of users."""

    _cache_monitor: CacheMonitor | None = None

    def __init__(
        self, name: str, settings: ServiceSettings, *, redis_db: int, revokes_sessions: bool = False
    ) -> None:
        self.name = name
        self.settings = settings
        self.revokes_sessions = revokes_sessions
        _start_spans(name, settings.otel_exporter_otlp_endpoint)
        self.worker_settings = WorkerSettings.load()
        self.stores = Stores.connect(name, default_db=redis_db)
        self.cache, self.redis_client = self.stores.cache, self.stores.cache.client
        self.session_store, self.limiter = self.stores.sessions, self.stores.limiter
        self.redis_client.uses(keys.kinds_in("caches", name))
        self.session_store.client.uses(keys.kinds_in("sessions", name))
        self.database = Database(
            settings.database_url_for(name),
            cache=self.cache,
            sessions=self.session_store if revokes_sessions else None,
            trust_seconds=settings.cache_trust_seconds,
            statement_seconds=settings.database_timeout_seconds,
            pool_size=max(8, self.worker_settings.worker_threads + 7),
        )
        self.audit = Audit(self.database, kept_days=settings.audit_days)
        self._audit_seconds = settings.cache_audit_seconds
        self.idempotency_keys = IdempotencyKeys(self.database)
        redis = RedisSettings.load()
        self.hints = Hints.at(redis, redis.database(redis_db))
        self.pauses = Pauses(self.database)
        self.limit_overrides = LimitOverrides(self.database, audit=self._record_limit_change)
        self.overrides_in_force = OverridesInForce(self.limit_overrides, declared_in(settings))
        self.limiter.follow(self.overrides_in_force.current)

    def _record_limit_change(self, tx: Transaction, actor: Actor, change: LimitOverride) -> None:
        filters = {"role": change.role, "rate": change.rate, "version": change.version}
        action = "limits set" if change.rate else "limits clear"
        self.audit.record(tx, actor, Act(action, change.name, filters), count=1)

    @property
    def redis_clients(self) -> Collection[RedisClient]:
        """The clients of the Redis databases."""
        return {self.redis_client, self.session_store.client}

    def raise_epoch(self, tx: Transaction, user_id: int) -> int:
        """Raise the auth epoch of a user, for a service that `revokes_sessions`."""
        raise NotImplementedError

    def find_user_id(self, name: str) -> int | None:
        """The user with a username or e-mail address, for a service that `revokes_sessions`."""
        raise NotImplementedError

    def prepare_worker(self) -> None:
        """Prepare to run jobs instead of requests, and log what is wrong with Redis."""
        self.database.writers_wait = False
        for client in self.redis_clients:
            client.check_soon()

    def cache_kinds(self) -> Sequence[CacheKind]:
        """The kinds of values that the service caches, and how they follow from SQL."""
        return ()

    def checks(self) -> Mapping[str, Check]:
        """What `doctor` checks of this service, besides what all services have."""
        return {}

    def monitor_caches(self) -> None:
        """Compare cached values with SQL while requests use them. See CacheMonitor."""
        assert self.database.invalidations is not None  # noqa: S101
        if self._audit_seconds:
            self._cache_monitor = CacheMonitor(
                self.cache,
                self.database.invalidations,
                self.cache_kinds(),
                every_seconds=self._audit_seconds,
            )
            self._cache_monitor.start()

    @cached_property
    def cache_verifier(self) -> CacheVerifier:
        """Compares all cached values with SQL, for a command."""
        assert self.database.invalidations is not None  # noqa: S101
        return CacheVerifier(self.cache, self.database.invalidations, self.cache_kinds())

    @cached_property
    def monitor(self) -> JobsMonitor:
        """What /health and /metrics say about the jobs."""
        return JobsMonitor(
            self.database,
            [jobs for jobs, _ in self.handlers] + ([] if self.outbox is None else [self.outbox]),
            pauses=self.pauses,
            silent_seconds=self.worker_settings.worker_silent_seconds,
            late_seconds=self.worker_settings.job_late_seconds,
        )

    def schedules(self) -> list[Schedule]:
        """What workers do at certain times: delete what is no longer needed."""
        schedules = [
            Schedule("delete-old-keys", "* * * * *", "UTC", self.idempotency_keys.delete_old),
            Schedule("delete-old-audit", "17 * * * *", "UTC", self.audit.delete_old),
        ]
        if self.outbox is not None:
            delete_old_messages = self.outbox.delete_old
            schedules.append(Schedule("delete-messages", "* * * * *", "UTC", delete_old_messages))
        return schedules

    @cached_property
    def scheduler(self) -> Scheduler:
        """Runs the schedules in a worker."""
        lease = self.worker_settings.job_lease_seconds
        return Scheduler(self.database, self.schedules(), lease_seconds=lease, paused=self.pauses)

    @cached_property
    def background(self) -> Sequence[OutboxDelivery | Scheduler]:
        """What runs in a worker beside its jobs, in threads of its own.

        Makes hints wake the outbox: call this before `hints.listen`.
        """
        outbox = self.outbox
        if outbox is None:
            return [self.scheduler]
        self.hints.on(outbox.kind, outbox.wake)
        deliveries = [OutboxDelivery(outbox, each, paused=self.pauses) for each in outbox.receivers]
        return [*deliveries, self.scheduler]

    def close(self) -> None:
        """Close the connections to SQL, and ignore hints."""
        if self._cache_monitor is not None:
            self._cache_monitor.close()
        self.overrides_in_force.close()
        self.database.close()
        self.hints.close()


def _start_spans(service: str, endpoint: str | None) -> None:
    try:
        spans.start(service, endpoint)
    except ImportError as error:
        raise ConfigurationError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT: {error}, or in this repository"
            " -r requirements/traces.txt; build images with --build-arg TRACES=1"
        ) from None
