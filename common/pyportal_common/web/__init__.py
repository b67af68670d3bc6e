"""The web layer: what every service's HTTP side is made of. Flask lives here."""

from .app import create_service
from .auth import (
    clear_session_cookie,
    current_session,
    current_user_id,
    login_required,
    presented_session_id,
    refuse_foreign_origin,
    service_required,
    set_session_cookie,
    unauthorized,
)
from .declarations import answers
from .idempotency import idempotency_key, idempotent, used_twice
from .limits import client_network, policy, rate_limit, refuse
from .problems import Detail, Problem, problem_response
from .requests import Schema, View, body, query, respond
from .responses import conditional
from .service_tokens import current_service

__all__ = [
    "Detail",
    "Problem",
    "Schema",
    "View",
    "answers",
    "body",
    "clear_session_cookie",
    "client_network",
    "conditional",
    "create_service",
    "current_service",
    "current_session",
    "current_user_id",
    "idempotency_key",
    "idempotent",
    "login_required",
    "policy",
    "presented_session_id",
    "problem_response",
    "query",
    "rate_limit",
    "refuse",
    "refuse_foreign_origin",
    "respond",
    "service_required",
    "set_session_cookie",
    "unauthorized",
    "used_twice",
]
