"""The service's own variables."""

from pydantic import Field

from common.pyportal_common.admin_settings import AdminSettings
from common.pyportal_common.cache_handlers import RateLimit


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
