"""Run by schemathesis beside its requests: the session that it presents outlives every logout, and
what no schema can say is helped along.
"""

import os
import re
from typing import Any

import schemathesis

from common.pyportal_common.cache_handlers import RedisSettings, SessionStore, get_redis_client
from common.pyportal_common.settings import SERVICE_TOKEN_HEADER as TOKEN

sessions = SessionStore(get_redis_client(0, settings=RedisSettings.load()))


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Begin the session anew, of an admin whom no request is likely to delete."""
    sessions.create(
        int(os.environ["FUZZED_USER_ID"]),
        {"username": "fuzzed", "role": "admin"},
        auth_epoch=None,
        session_id=os.environ["FUZZED_SESSION_ID"],
        replace_existing=True,
    )
    if case.headers.get(TOKEN) != os.environ["FUZZED_SERVICE_TOKEN"]:
        case.headers.pop(TOKEN, None)  # a random one is a 401, whatever the session is
    if isinstance(case.body, dict) and case.path.endswith("/notifications"):
        case.body = to_oneself(case.body)


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    """Let flights depart in the future, in the last century that is taken: so there are some."""
    departs_at = body.get("departsAt") if isinstance(body, dict) else None
    if isinstance(departs_at, str) and re.match(r"[0-9]{4}-", departs_at):
        return {**body, "departsAt": f"29{departs_at[2:]}"}
    return body


def to_oneself(body: dict[str, Any]) -> dict[str, Any]:
    """Leave out whom a notification is for, and by what way: so it goes to the user, by mail, and
    not to others, which is a 403. What is wrong about it stays wrong.
    """
    kept = dict(body)
    recipient, user_id = kept.get("recipient"), kept.get("userId")
    if isinstance(recipient, str) and 1 <= len(recipient) <= 2000:
        del kept["recipient"]
    if type(user_id) is int and 1 <= user_id < 10**18:
        del kept["userId"]
    if kept.get("channel") == "webhook":
        kept["channel"] = "email"
    return kept
