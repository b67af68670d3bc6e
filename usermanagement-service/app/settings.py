"""The service's own variables."""

from pydantic import Field, SecretStr, field_validator

from common.pyportal_common.admin_settings import AdminSettings
from common.pyportal_common.cache_handlers import RateLimit

from .factors.seeds import parse_keys


class UserManagementSettings(AdminSettings):
    """The rate limits, HASH_CONCURRENCY, and what every service reads."""

    rate_limit_register: RateLimit = RateLimit("register", limit=5, window=60)
    rate_limit_login: RateLimit = RateLimit("login", limit=10, window=60)
    # Per submitted name, over all clients. Closed: without Redis nobody can log in anyway.
    rate_limit_login_failures: RateLimit = RateLimit(
        "login-failures", limit=10, window=900, on_error="closed"
    )
    rate_limit_verification: RateLimit = RateLimit("verification", limit=3, window=900)
    # Per user: each change mails a link to an address that may be anybody's.
    rate_limit_email_changes: RateLimit = RateLimit("email-changes", limit=5, window=3600)
    # Per client, and per submitted address over all clients, whether or not a user has it.
    rate_limit_forgot: RateLimit = RateLimit("forgot", limit=5, window=900, on_error="closed")
    rate_limit_reset: RateLimit = RateLimit("reset", limit=10, window=60)
    # Per user, for all routes that read users together. No person reads this fast.
    rate_limit_reads: RateLimit = RateLimit("reads", limit=600, window=60)
    # Passwords hashed at once by one process. Each takes a core for 26 ms, and 19 MiB.
    hash_concurrency: int = Field(2, ge=1, le=64)
    # The keys that encrypt the seeds of authenticator apps, in base64: "new,old". The first one
    # encrypts. Without a key there are no such apps.
    factor_keys: SecretStr = SecretStr("")
    # Hours until the second factors of a user are removed that an admin has requested it for.
    factor_removal_hours: int = Field(72, ge=1, le=168)
    # Wrong codes of an authenticator app, per user, over all clients and names.
    rate_limit_codes: RateLimit = RateLimit("codes", limit=10, window=3600, on_error="closed")
    # Challenges for passkeys, per client.
    rate_limit_challenges: RateLimit = RateLimit("challenges", limit=30, window=60)
    # Changes of second factors, per user: each sends an e-mail.
    rate_limit_factors: RateLimit = RateLimit("factors", limit=30, window=3600)

    @field_validator("factor_keys")
    @classmethod
    def _keys(cls, value: SecretStr) -> SecretStr:
        parse_keys(value.get_secret_value())
        return value
