"""Whether an e-mail address is its user's: by a link that was mailed to it. No HTTP here."""

from datetime import UTC, datetime

from common.pyportal_common.db import Database

from . import links, users
from .errors import AlreadyVerified, LinkInvalid, UserNotFound
from .models import User
from .outbox import Outbox


def verify(token: str, *, database: Database) -> None:
    """Verify the address that the link with this token was mailed to, if it is still the user's.

    Raises LinkInvalid.
    """
    with database.read() as tx:
        link = links.find(tx, token, "verify")
    if link is None:
        raise LinkInvalid
    try:
        with database.begin() as tx:
            user = users.locked(tx, User.id == link.user_id)
            if user.email != link.email or not links.use(tx, link):
                raise LinkInvalid
            mark_verified(user)
    except UserNotFound:
        raise LinkInvalid from None


def mark_verified(user: User) -> None:
    """Write down that the address is the user's."""
    now = datetime.now(UTC)
    user.email_verified_at = user.email_verified_at or now
    user.updated_at = now


def send_link(user_id: int, *, database: Database, outbox: Outbox) -> None:
    """Mail the user another link, in place of the one before.

    Raises UserNotFound and AlreadyVerified.
    """
    with database.begin() as tx:
        user = users.locked(tx, User.id == user_id)
        if user.email_verified:
            raise AlreadyVerified
        event = outbox.verification(tx, user)
    outbox.send(event)
