"""The service's dependencies, made once and used by routes, commands and workers."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from flask import current_app

from common.pyportal_common.db import Transaction
from common.pyportal_common.db.consistency import CacheKind
from common.pyportal_common.findings import Check
from common.pyportal_common.jobs.schedules import Schedule
from common.pyportal_common.jobs.services import BaseServices
from common.pyportal_common.outbound import CircuitBreakers

from .email_links.service import EmailLinks
from .factors.additions import FactorAdditions
from .factors.limits import CodeLimit
from .factors.passkeys import PasskeyVerifier
from .factors.proofs import FactorProofs
from .factors.removals import FactorRemovals
from .factors.seeds import SeedCipher, parse_keys
from .factors.service import Factors
from .factors.stored_seeds import StoredSeeds
from .outbox import Outbox
from .passwords.hashing import Hasher
from .passwords.limits import PasswordLimits
from .passwords.service import Passwords
from .redis_helper import REDIS_DB, UserManagementRedisHelper
from .sessions.networks import LoginNetworks
from .sessions.service import Sessions
from .settings import UserManagementSettings
from .users.limits import EmailChanges
from .users.service import Users

NAME = "usermanagement"


class Services(BaseServices):
    """The service's dependencies."""

    def __init__(
        self,
        settings: UserManagementSettings,
        *,
        breakers: CircuitBreakers | None = None,
        hasher: Hasher | None = None,
    ) -> None:
        super().__init__(NAME, settings, redis_db=REDIS_DB, revokes_sessions=True)
        database, store = self.database, self.session_store
        self.outbox: Outbox = Outbox(
            database,
            self.hints,
            self.worker_settings,
            breakers or CircuitBreakers(),
            public_url=settings.public_url,
        )
        self.redis_helper = UserManagementRedisHelper(self.redis_client, store.client)
        keys = parse_keys(settings.factor_keys.get_secret_value())
        cipher = SeedCipher(keys)
        verifier = PasskeyVerifier(settings.public_url, settings.cors_origins)
        code_limit = CodeLimit(self.limiter, settings.rate_limit_codes)
        self.factor_proofs = FactorProofs(database, cipher, verifier, code_limit, self.outbox)
        self.stored_seeds = StoredSeeds(database, cipher)
        self.factors = Factors(database, self.outbox)
        self.factor_additions = FactorAdditions(database, cipher, verifier, store, self.outbox)
        waiting = timedelta(hours=settings.factor_removal_hours)
        self.factor_removals = FactorRemovals(database, self.audit, self.outbox, waiting=waiting)
        limits = PasswordLimits(
            self.limiter,
            failures=settings.rate_limit_login_failures,
            reset_requests=settings.rate_limit_forgot,
        )
        self.hasher = hasher or Hasher(concurrency=settings.hash_concurrency)
        self.passwords = Passwords(
            database, self.hasher, limits, store, self.outbox, self.factor_proofs
        )
        email_changes = EmailChanges(self.limiter, settings.rate_limit_email_changes)
        self.users = Users(database, self.passwords, self.redis_helper, self.outbox, email_changes)
        networks = LoginNetworks(database, self.outbox)
        self.sessions = Sessions(database, self.hasher, limits, store, networks, self.factor_proofs)
        self.email_links = EmailLinks(database, self.outbox)

    def raise_epoch(self, tx: Transaction, user_id: int) -> int:
        """Raise the auth epoch of a user."""
        return self.sessions.raise_epoch(tx, user_id)

    def find_user_id(self, name: str) -> int | None:
        """The id of the user with this username or e-mail address."""
        by = {"email" if "@" in name else "username": name}
        user = self.users.find_by_name(**by)
        return None if user is None else int(user["id"])

    def cache_kinds(self) -> Sequence[CacheKind]:
        """Users and lookups."""
        return self.users.cache_kinds()

    def checks(self) -> Mapping[str, Check]:
        """The keys of authenticator apps."""
        return {"seeds": self.stored_seeds.check}

    def schedules(self) -> list[Schedule]:
        """Delete what has expired, and remove the second factors that are to be removed now."""
        delete_expired = self.email_links.delete_expired
        delete_links = Schedule("delete-expired-links", "*/5 * * * *", "UTC", delete_expired)
        delete_challenges = Schedule(
            "delete-expired-challenges", "*/5 * * * *", "UTC", self.factor_proofs.delete_expired
        )
        remove_factors = Schedule(
            "remove-factors", "* * * * *", "UTC", self.factor_removals.remove_due
        )
        return [*super().schedules(), delete_links, delete_challenges, remove_factors]


def services() -> Services:
    """The services of the current app."""
    found: Services = current_app.extensions[NAME]
    return found
