"""Run by schemathesis beside its requests: the session that it presents outlives every logout, and
what no schema can say is helped along.
"""

import os
import re
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


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    """Let flights depart in the future, in the last century that is taken: so there are some."""
    departs_at = body.get("departsAt") if isinstance(body, dict) else None
    if isinstance(departs_at, str) and re.match(r"[0-9]{4}-", departs_at):
        return {**body, "departsAt": f"29{departs_at[2:]}"}
    return body
