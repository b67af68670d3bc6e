"""What workers do with events, and what is forgotten of them."""

from datetime import UTC, datetime
from typing import Any

from common.pyportal_common.db import Database
from common.pyportal_common.jobs import Cancelled, Run
from common.pyportal_common.jobs import outbox as events

from . import links, new_passwords
from .models import Event
from .outbox import OURSELVES
from .services import Services


def perform(run: Run[Any], mine: Services) -> None:
    """See to an event, if it is not too late."""
    event: Event = run.job
    if event.cancel_requested_at is not None:  # while it was posted, in vain
        raise Cancelled
    if event.expires_at is not None and event.expires_at < datetime.now(UTC):
        with run.end(event.STATES.cancelled, "It would have come too late") as (_, row):
            row.body = {}
    elif event.service == OURSELVES:
        new_passwords.mail_link(run, outbox=mine.outbox)
    else:
        events.post(run, mine.event_settings, mine.destinations)


def forget_old(database: Database) -> None:
    """Remove the events that ended a week ago, and the links that have expired."""
    events.forget_old(database, Event)
    with database.begin() as tx:
        links.forget_expired(tx)
