"""What workers do with events, and what is forgotten of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete

from common.pyportal_common.db import Database
from common.pyportal_common.events import post
from common.pyportal_common.jobs import Cancelled, Run

from . import links, new_passwords
from .collaborators import Collaborators
from .models import Event
from .outbox import OURSELVES

_KEPT_FOR = timedelta(days=7)  # events that have ended: somebody may want to know why one failed


def perform(run: Run[Any], mine: Collaborators) -> None:
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
        post(run, mine.event_settings)


def forget_old(database: Database) -> None:
    """Remove the events that ended a week ago, and the links that have expired."""
    with database.begin() as session:
        session.execute(
            delete(Event).where(Event.finished_at < datetime.now(UTC) - _KEPT_FOR),
            execution_options={"cache_keys": ()},
        )
        links.forget_expired(session)
