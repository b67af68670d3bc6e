"""Messages to other services that have failed: list, resend, discard."""

from collections.abc import Callable

from flask import Response
from pydantic import Field

from ...db import Actor
from ...operations import MessageFilter, OutboxOperations
from .acts import Selection, shown_filter
from .console import Console, Plan, link
from .filters import plural
from .forms import PageFilter, read_filter
from .narrowing import Narrowing


class MessageSearch(Narrowing, PageFilter):
    """The query of the list of messages."""

    service: str | None = Field(None, max_length=50)

    def filter(self) -> MessageFilter:
        """The filter of the operations."""
        return MessageFilter(self.service, None, self.since, self.until, self.error)


class MessageSelection(Narrowing, Selection):
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

    def plan(verb: str, done: str, change: Callable[..., int], form: MessageSelection) -> Plan:
        wanted = form.filter()
        number = outbox.count(wanted)

        def act(actor: Actor) -> str:
            return f"{done} {plural('message', change(actor, wanted, every=True))}"

        return Plan(
            f"{verb} {plural('failed message', number)}?",
            f"{verb} {plural('message', number)}",
            act,
            form.back_or(link("/outbox")),
            count=number,
            filter=shown_filter({"service": "any", **wanted.given()}),
        )

    @console.act("/outbox/resend", MessageSelection)
    def resend(form: MessageSelection) -> Plan:
        return plan("Resend", "Resent", outbox.resend, form)

    @console.act("/outbox/discard", MessageSelection)
    def discard(form: MessageSelection) -> Plan:
        return plan("Discard", "Discarded", outbox.discard, form)
