"""From where users have logged in, so that they hear of a login from elsewhere. No HTTP here."""

import logging
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from common.pyportal_common.db import Database

from . import users
from .errors import UserNotFound
from .models import LoginAddress, User
from .outbox import Outbox

logger = logging.getLogger(__name__)

_MOST = 100  # networks of a user that are kept: the oldest go


def note(user_id: int, network: str, *, database: Database, outbox: Outbox) -> None:
    """Tell a user who has logged in if that was from a network they never logged in from before.

    Of their first login nobody is told. Where the network is known that costs one read of SQL. The
    login is right whatever SQL says here: if it fails, the next login from there is told of.
    """
    try:
        with database.read() as tx:
            known = tx.get(LoginAddress, (user_id, network))
        if known is None:
            _note_new(user_id, network, database=database, outbox=outbox)
    except UserNotFound:
        pass  # deleted just now: their sessions end
    except SQLAlchemyError as error:
        logger.warning("A login is not noted: %s", getattr(error, "orig", None) or error)


def _note_new(user_id: int, network: str, *, database: Database, outbox: Outbox) -> None:
    events = []
    with database.begin() as tx:
        user = users.locked(tx, User.id == user_id)  # of logins side by side one tells
        known = tx.scalars(
            select(LoginAddress)
            .where(LoginAddress.user_id == user_id)
            .order_by(LoginAddress.first_seen_at)
        ).all()
        if network in {address.network for address in known}:
            return
        for oldest in known[: max(0, len(known) - _MOST + 1)]:
            tx.delete(oldest)
        now = datetime.now(UTC)
        tx.add(LoginAddress(user_id=user_id, network=network, first_seen_at=now))
        if known:
            events.append(outbox.new_login(tx, user, network, now))
    outbox.send(*events)
