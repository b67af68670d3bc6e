"""Messages to other services that have failed: list, resend, discard."""

from collections.abc import Callable

from flask import Response
from pydantic import Field

from ...operations import BulkAct, MessageFilter, OutboxOperations
from ...web.pages import PageFilter, read_filter
from .acts import RowsForm, plan_for_rows
from .console import Console, Plan, link
from .narrowing import Narrowing


class MessageSearch(Narrowing, PageFilter):
    """The query of the list of messages."""

    service: str | None = Field(None, max_length=50)

    def filter(self) -> MessageFilter:
        """The filter of the operations."""
        return MessageFilter(self.service, None, self.since, self.until, self.error)


class MessagesForm(Narrowing, RowsForm):
    """Which messages an act concerns."""

    service: str | None = Field(None, max_length=50)

    def filter(self) -> MessageFilter:
        """The filter of the operations."""
        ids = self.chosen_ids()
        return MessageFilter(self.service, ids, self.since, self.until, self.error)


def add_outbox_pages(console: Console, outbox: OutboxOperations) -> None:
    """Add the page about failed messages, and its acts."""

    @console.page("/outbox", navigation="Outbox")
    def messages() -> Response:
        wanted = read_filter(MessageSearch)
        page = outbox.page(wanted.filter(), cursor=wanted.cursor)
        return console.show("outbox.html", wanted=wanted, page=page)

    def plan(verb: str, done: str, prepare: Callable[..., BulkAct], form: MessagesForm) -> Plan:
        wanted = form.filter()
        given = wanted.given()
        return plan_for_rows(
            verb,
            done,
            "failed message",
            prepare(wanted, every=not given),
            form.back_or(link("/outbox")),
            {"service": "any", **given},
        )

    @console.act("/outbox/resend", MessagesForm)
    def resend(form: MessagesForm) -> Plan:
        return plan("Resend", "Resent", outbox.to_resend, form)

    @console.act("/outbox/discard", MessagesForm)
    def discard(form: MessagesForm) -> Plan:
        return plan("Discard", "Discarded", outbox.to_discard, form)
