"""Hooks of schemathesis: they restore the session that requests present, and adapt bodies where a
schema cannot express what is valid.
"""

import os
import re
from contextlib import closing
from functools import cache
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import schemathesis

from common.pyportal_common.cache_handlers import RedisSettings, SessionStore, get_redis_client
from common.pyportal_common.settings import SERVICE_TOKEN_HEADER

sessions = SessionStore(get_redis_client(0, settings=RedisSettings.load()))


@schemathesis.check
def errors_lead_to_their_page(_context: Any, response: Any, case: Any) -> None:
    """Every error has a code, and the service a page about it."""
    if response.status_code >= 400:
        code = response.json()["code"]
        address = urlsplit(case.operation.base_url).netloc
        assert code in codes_of(address), f"no page describes {code}"


@cache
def codes_of(address: str) -> list[str]:
    """The codes of all errors that a service lists."""
    with closing(HTTPConnection(address, timeout=10)) as connection:
        connection.request("GET", "/problems")
        page = connection.getresponse().read().decode("utf-8")
    return re.findall("<code>(.+?)</code>", page)


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Create the session again: an earlier request may have ended it.

    Only a user who does not exist deletes themselves: the other routes need theirs.
    """
    deletes_itself = case.method == "DELETE" and case.path.endswith("/users/me")
    sessions.create(
        int(os.environ["FUZZED_USER_ID"]) + deletes_itself,
        {"username": "fuzzed", "role": "admin"},
        auth_epoch=None,
        session_id=os.environ["FUZZED_SESSION_ID"],
        replace_existing=True,
    )
    if case.headers.get(SERVICE_TOKEN_HEADER) != os.environ["FUZZED_SERVICE_TOKEN"]:
        case.headers.pop(SERVICE_TOKEN_HEADER, None)  # a random token is a 401 in any session
    if isinstance(case.body, dict) and case.path.endswith("/notifications"):
        case.body = addressed_to_oneself(case.body)
    if isinstance(case.body, dict) and "/admin/limits/" in case.path:
        case.body = with_high_rate(case.body)


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    """Move departures to the last accepted century: they have to be in the future."""
    departs_at = body.get("departsAt") if isinstance(body, dict) else None
    if isinstance(departs_at, str) and re.match(r"[0-9]{4}-", departs_at):
        return {**body, "departsAt": f"29{departs_at[2:]}"}
    return body


def with_high_rate(body: dict[str, Any]) -> dict[str, Any]:
    """A limit that refuses nothing, and that has headers, in place of a valid rate."""
    rate = body.get("rate")
    if isinstance(rate, str) and re.fullmatch("[0-9]+/[0-9]+(;shadow)?", rate):
        return {**body, "rate": "1000000/60"}
    return body


def addressed_to_oneself(body: dict[str, Any]) -> dict[str, Any]:
    """Remove a valid recipient and channel, so that the mail goes to the user.

    Writing to others is a 403. Invalid values stay.
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
