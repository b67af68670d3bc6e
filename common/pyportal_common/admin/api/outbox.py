"""Messages to other services that were refused, without their content."""

from datetime import datetime
from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field, StringConstraints

from ...operations import MessageFilter, OutboxOperations
from ...web import Page, PageQuery, View, body, query, responses
from ..guard import Guard
from .acts import ActBody, ActOut, Ids, respond_act
from .lists import Text, respond_found
from .narrowing import Narrowing

_Service = Annotated[str, StringConstraints(min_length=1, max_length=50)]


class MessageSearch(Narrowing, PageQuery):
    """The query of the refused messages."""

    service: _Service | None = Field(None, description="Only those to this service.")

    def filter(self) -> MessageFilter:
        """The filter of the operations."""
        return MessageFilter(self.service, None, self.since, self.until, self.error)


class MessageAct(Narrowing, ActBody):
    """Which messages are meant: at least one field of a filter, or `all`."""

    service: _Service | None = Field(None, examples=["notification"])
    ids: Ids | None = Field(None, examples=[[17, 18]])

    def filter(self) -> MessageFilter:
        """The filter of the operations."""
        ids = tuple(self.ids) if self.ids else None
        return MessageFilter(self.service, ids, self.since, self.until, self.error)


class MessageOut(View):
    """A refused message."""

    id: int
    service: str
    path: str
    template: str
    attempts: int
    error: Text | None
    created_at: datetime
    finished_at: datetime | None


def outbox_routes(outbox: OutboxOperations, admin: Guard) -> Blueprint:
    """The routes about the outbox."""
    routes = Blueprint("outbox", __name__, url_prefix="/outbox")

    @routes.get("")
    @admin
    @query(MessageSearch)
    @responses(Page[MessageOut])
    def list_messages(query: MessageSearch) -> Response:
        """List the messages that other services have refused, the newest first.

        With `error` a page may be short, or empty, and have a next one.
        """
        page = outbox.page(query.filter(), limit=query.limit, cursor=query.cursor)
        return respond_found(MessageOut, page)

    @routes.post("/resend")
    @admin
    @body(MessageAct)
    @responses(ActOut)
    def resend_messages(body: MessageAct) -> Response:
        """Send refused messages again, with their keys.

        At most 1,000 a request: `left` says how many are left.
        """
        return respond_act(outbox.to_resend(body.filter(), every=body.all), body)

    @routes.post("/discard")
    @admin
    @body(MessageAct)
    @responses(ActOut)
    def discard_messages(body: MessageAct) -> Response:
        """Give refused messages up, and delete their content.

        At most 1,000 a request: `left` says how many are left.
        """
        return respond_act(outbox.to_discard(body.filter(), every=body.all), body)

    return routes
