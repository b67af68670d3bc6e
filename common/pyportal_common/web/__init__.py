"""The web layer: the parts that every service's HTTP interface is built from, on Flask."""

from ..extras import requires

with requires("web"):
    from ..extension import client_network
    from .admission import rate_limit, reads
    from .app import create_service
    from .auth import (
        clear_session_cookie,
        current_actor,
        current_service,
        current_session,
        current_user_id,
        login_required,
        presented_session_id,
        refuse_foreign_origin,
        require_fresh_login,
        services_only,
        set_session_cookie,
    )
    from .cached_views import CachedView
    from .idempotency import (
        accepts_key,
        idempotency_key,
        idempotency_key_reused,
        idempotent,
        request_key,
    )
    from .long_polls import LongPolls, long_poll
    from .problem_types import CommonProblem, ProblemType
    from .problems import Detail, Problem, ProblemTable, RateLimitExceeded
    from .requests import Cursor, Day, PageQuery, PageSize, Schema, body, otherwise, query
    from .responses import (
        Page,
        View,
        conditional,
        respond,
        respond_one,
        respond_page,
        respond_text,
        responses,
        with_etag,
        with_next_link,
    )
    from .static_pages import StaticPages
    from .user_paths import require_owner_or_admin, user_route

__all__ = [
    "CachedView",
    "CommonProblem",
    "Cursor",
    "Day",
    "Detail",
    "LongPolls",
    "Page",
    "PageQuery",
    "PageSize",
    "Problem",
    "ProblemTable",
    "ProblemType",
    "RateLimitExceeded",
    "Schema",
    "StaticPages",
    "View",
    "accepts_key",
    "body",
    "clear_session_cookie",
    "client_network",
    "conditional",
    "create_service",
    "current_actor",
    "current_service",
    "current_session",
    "current_user_id",
    "idempotency_key",
    "idempotency_key_reused",
    "idempotent",
    "login_required",
    "long_poll",
    "otherwise",
    "presented_session_id",
    "query",
    "rate_limit",
    "reads",
    "refuse_foreign_origin",
    "request_key",
    "require_fresh_login",
    "require_owner_or_admin",
    "respond",
    "respond_one",
    "respond_page",
    "respond_text",
    "responses",
    "services_only",
    "set_session_cookie",
    "user_route",
    "with_etag",
    "with_next_link",
]
