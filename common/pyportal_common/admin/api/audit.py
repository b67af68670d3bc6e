"""The audit log."""

from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import Field, StringConstraints

from ...db import Audit, AuditFilter
from ...web import Page, PageQuery, View, query, responses
from ..guard import Guard
from .lists import respond_found
from .narrowing import Timed

_Exact = Annotated[str, StringConstraints(min_length=1, max_length=250)]


class AuditSearch(Timed, PageQuery):
    """The query of the audit log."""

    actor: _Exact | None = Field(None, description="Only what this actor did, such as user=7.")
    action: _Exact | None = Field(None, description="Only this action, such as jobs retry.")
    target: _Exact | None = Field(None, description="Only what was done to it, such as user=7.")


class AuditEntryOut(View):
    """What an operator or an admin did."""

    id: int
    at: datetime
    actor: str = Field(examples=["user=7"])
    action: str = Field(examples=["jobs retry"])
    target: str = Field(examples=["tasks"])
    filter: dict[str, Any] = Field(examples=[{"status": "failed"}])
    count: int | None = Field(description="How many it changed; null if that is not known.")
    request_id: str


def audit_routes(audit: Audit, admin: Guard) -> Blueprint:
    """The routes about the audit log."""
    routes = Blueprint("audit", __name__, url_prefix="/audit")

    @routes.get("")
    @admin
    @query(AuditSearch)
    @responses(Page[AuditEntryOut])
    def list_audit(query: AuditSearch) -> Response:
        """List what operators and admins did in the last year, the newest first."""
        wanted = AuditFilter(query.actor, query.action, query.target, query.since, query.until)
        page = audit.page(wanted, limit=query.limit, cursor=query.cursor)
        return respond_found(AuditEntryOut, page)

    return routes
