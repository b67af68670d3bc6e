"""Run by schemathesis beside its requests: the session that it presents outlives every logout."""

import os
from typing import Any

import schemathesis

from common.pyportal_common.cache_handlers import RedisSettings, SessionStore, get_redis_client

sessions = SessionStore(get_redis_client(0, settings=RedisSettings.load()))


@schemathesis.hook
def before_call(_context: Any, _case: Any, _kwargs: dict[str, Any]) -> None:
    """Begin the session anew, of an admin whom no request is likely to delete."""
    sessions.create(
        int(os.environ["FUZZED_USER_ID"]),
        {"username": "fuzzed", "role": "admin"},
        auth_epoch=None,
        session_id=os.environ["FUZZED_SESSION_ID"],
        replace_existing=True,
    )
