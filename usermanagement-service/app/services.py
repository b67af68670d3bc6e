"""The service's dependencies, made once and used by routes, commands and workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import current_app

from common.pyportal_common.cache_handlers import (
    Cache,
    Limiter,
    RedisClient,
    SessionStore,
    get_redis_client,
    get_session_client,
)
from common.pyportal_common.db import Database
from common.pyportal_common.jobs import (
    JobHandler,
    JobQueue,
    Jobs,
    QueueSettings,
    WorkerSettings,
)
from common.pyportal_common.jobs.outbox import OutboxMessage, OutboxSettings, outbox_jobs
from common.pyportal_common.outbound import CircuitBreakers

from .email_links.service import EmailLinks
from .models import Message
from .outbox import Outbox
from .passwords.hashing import Hasher
from .passwords.limits import PasswordLimits
from .passwords.service import Passwords
from .redis_helper import REDIS_DB, UserManagementRedisHelper
from .sessions.networks import LoginNetworks
from .sessions.service import Sessions
from .settings import UserManagementSettings
from .users.service import Users

NAME = "usermanagement"


@dataclass(frozen=True)
class Services:
    """The service's dependencies."""

    database: Database
    redis_client: RedisClient
    redis_helper: UserManagementRedisHelper
    session_store: SessionStore
    limiter: Limiter
    queue: JobQueue
    messages: Jobs[OutboxMessage]
    outbox: Outbox
    hasher: Hasher
    passwords: Passwords
    users: Users
    sessions: Sessions
    email_links: EmailLinks

    @classmethod
    def of(
        cls,
        settings: UserManagementSettings,
        *,
        breakers: CircuitBreakers | None = None,
        hasher: Hasher | None = None,
    ) -> "Services":
        """The dependencies that the settings describe. Connects to nothing.

        Raises ConfigurationError.
        """
        worker = WorkerSettings.load()
        redis_client = get_redis_client(default_db=REDIS_DB)
        store = SessionStore(get_session_client())
        database = Database(
            settings.database_url_for(NAME),
            cache=Cache(redis_client),
            sessions=store,
            pool_size=max(8, worker.worker_threads + 3),
        )
        messages = outbox_jobs(database, Message, worker)
        queue = JobQueue(NAME, QueueSettings.load())
        outbox = Outbox(
            messages,
            queue,
            settings=OutboxSettings.load(),
            breakers=breakers or CircuitBreakers(),
            public_url=settings.public_url,
        )
        helper = UserManagementRedisHelper(redis_client, store.client)
        limiter = Limiter(store.client, service=NAME)
        limits = PasswordLimits(
            limiter,
            failures=settings.rate_limit_login_failures,
            reset_requests=settings.rate_limit_forgot,
        )
        hasher = hasher or Hasher(concurrency=settings.hash_concurrency)
        passwords = Passwords(database, hasher, limits, store, outbox)
        return cls(
            database=database,
            redis_client=redis_client,
            redis_helper=helper,
            session_store=store,
            limiter=limiter,
            queue=queue,
            messages=messages,
            outbox=outbox,
            hasher=hasher,
            passwords=passwords,
            users=Users(database, passwords, helper, outbox),
            sessions=Sessions(database, hasher, limits, store, LoginNetworks(database, outbox)),
            email_links=EmailLinks(database, outbox),
        )

    @property
    def handlers(self) -> Sequence[tuple[Jobs[Any], JobHandler]]:
        """The worker's jobs: the messages of the outbox."""
        return [(self.messages, self.outbox.deliver)]

    def housekeeping(self) -> None:
        """Delete messages that ended a week ago, and links that have expired."""
        self.outbox.delete_old(self.database)
        self.email_links.delete_expired()

    def close(self) -> None:
        """Close every connection to SQL and to the queue."""
        self.database.close()
        self.queue.close()


def services() -> Services:
    """The services of the current app."""
    found: Services = current_app.extensions[NAME]
    return found
