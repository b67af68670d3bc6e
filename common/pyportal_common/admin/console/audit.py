"""What operators and admins did."""

from flask import Response
from pydantic import Field

from ...db import Audit, AuditFilter
from ...web.pages import PageFilter, read_filter
from .console import Console
from .narrowing import Timed


class AuditSearch(Timed, PageFilter):
    """The query of the list of acts."""

    actor: str | None = Field(None, max_length=100)
    action: str | None = Field(None, max_length=50)
    target: str | None = Field(None, max_length=250)


def add_audit_pages(console: Console, audit: Audit) -> None:
    """Add the page about what was done."""

    @console.page("/audit", navigation="Audit")
    def acts() -> Response:
        wanted = read_filter(AuditSearch)
        found = AuditFilter(wanted.actor, wanted.action, wanted.target, wanted.since, wanted.until)
        page = audit.page(found, cursor=wanted.cursor)
        return console.show("audit.html", wanted=wanted, page=page)
