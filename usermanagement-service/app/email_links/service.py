"""Verifying e-mail addresses by links that are mailed to them."""

from common.pyportal_common.db import Database
from common.pyportal_common.db.batches import delete_in_batches

from ..errors import AlreadyVerified, LinkInvalid, UserNotFound
from ..models import User, UserToken
from ..outbox import Outbox
from . import tokens


class EmailLinks:
    """Sends the links that verify addresses, and accepts their tokens."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    def verify(self, token: str) -> None:
        """Verify the address that the link was mailed to, if the user still has it.

        Raises LinkInvalid.
        """
        with self._database.read() as tx:
            link = tokens.find(tx, token, "verify")
        if link is None:
            raise LinkInvalid
        try:
            with self._database.begin() as tx:
                user = User.lock(tx, User.id == link.user_id)
                if user.email != link.email or not tokens.use(tx, link):
                    raise LinkInvalid
                now = self._database.now()
                messages = []
                if user.email_verified_at is None:
                    messages = [self._outbox.user_verified(tx, user, now)]
                user.email_verified_at = user.email_verified_at or now
                user.updated_at = now
        except UserNotFound:
            raise LinkInvalid from None
        self._outbox.send(*messages)

    def send_verification(self, user_id: int) -> None:
        """Mail the user a new link, which replaces the earlier ones.

        Raises UserNotFound and AlreadyVerified.
        """
        with self._database.begin() as tx:
            user = User.lock(tx, User.id == user_id)
            if user.email_verified:
                raise AlreadyVerified
            message = self._outbox.verification(tx, user)
        self._outbox.send(message)

    def delete_expired(self) -> None:
        """Delete the links that have expired."""
        expired = UserToken.expires_at < self._database.now()
        delete_in_batches(self._database, UserToken, expired)
