"""Removing the second factors of a user who has lost them: by an admin, after a waiting time."""

from datetime import datetime, timedelta

from pydantic import SecretStr
from sqlalchemy import delete, select

from common.pyportal_common.cache_handlers import RedisUnavailable, Revocation
from common.pyportal_common.db import (
    Act,
    Actor,
    Audit,
    Database,
    TooManyWaitingWriters,
    Transaction,
    current_time,
    revoke_sessions,
)

from ..email_links import tokens
from ..errors import FactorNotFound, LinkInvalid, NoSecondFactor, UserNotFound
from ..models import AuthenticatorApp, FactorRemoval, Message, Passkey, User
from ..outbox import Outbox
from .proofs import Held
from .service import forget_rest

_AT_ONCE = 100


class FactorRemovals:
    """Requests to remove all second factors of a user, which wait for `waiting`."""

    def __init__(
        self, database: Database, audit: Audit, outbox: Outbox, *, waiting: timedelta
    ) -> None:
        self._database = database
        self._audit = audit
        self._outbox = outbox
        self._waiting = waiting

    def request(self, actor: Actor, user_id: int) -> FactorRemoval:
        """Request the removal, and mail the user a link that cancels it.

        A request that waits already stays as it is, but is recorded and mailed again. Raises
        UserNotFound and NoSecondFactor.
        """
        with self._database.begin(changes_cached=False) as tx:
            user = User.lock(tx, User.id == user_id)
            if not Held.by(tx, user_id):
                raise NoSecondFactor
            removal = tx.get(FactorRemoval, user_id) or self._new(tx, user_id)
            self._audit.record(tx, actor, Act("factors remove", f"user={user_id}"))
            message = self._outbox.factor_removal(tx, user, removal.due_at)
        self._outbox.send(message)
        return removal

    def cancel(self, user_id: int, actor: Actor | None = None) -> None:
        """Cancel the removal: the user does, or an `actor`. Raises UserNotFound, FactorNotFound."""
        with self._database.begin(changes_cached=False) as tx:
            user = User.lock(tx, User.id == user_id)
            if actor is not None:
                self._audit.record(tx, actor, Act("factors keep", f"user={user_id}"))
            message = self._cancel(tx, user)
            if message is None:
                raise FactorNotFound
        self._outbox.send(message)

    def cancel_by_link(self, token: SecretStr) -> None:
        """Cancel the removal with the token of the mailed link. Raises LinkInvalid."""
        with self._database.read() as tx:
            link = tokens.find(tx, token.get_secret_value(), "keep")
        if link is None:
            raise LinkInvalid
        try:
            with self._database.begin(changes_cached=False) as tx:
                user = User.lock(tx, User.id == link.user_id)
                message = self._cancel(tx, user) if tokens.use(tx, link) else None
                if message is None:
                    raise LinkInvalid
        except UserNotFound:
            raise LinkInvalid from None
        self._outbox.send(message)

    def remove_due(self) -> None:
        """Remove the factors whose waiting time has passed."""
        due = select(FactorRemoval.user_id).where(FactorRemoval.due_at <= self._database.now())
        with self._database.read() as tx:
            user_ids = tx.scalars(due.order_by(FactorRemoval.due_at).limit(_AT_ONCE)).all()
        for user_id in user_ids:
            self._remove(user_id)

    def _new(self, tx: Transaction, user_id: int) -> FactorRemoval:
        now = current_time(tx)
        removal = FactorRemoval(user_id=user_id, requested_at=now, due_at=now + self._waiting)
        tx.add(removal)
        return removal

    def _cancel(self, tx: Transaction, user: User) -> Message | None:
        """Cancel the removal for a locked user, and invalidate the links. None if there is none."""
        if not _take(tx, user.id):
            return None
        tokens.revoke(tx, user.id, "keep")
        return self._outbox.factors_changed(tx, user, "removal_cancelled")

    def _remove(self, user_id: int) -> None:
        """Remove the factors and end all sessions, unless that was cancelled meanwhile."""
        try:
            with self._database.begin() as tx:
                user = User.lock(tx, User.id == user_id)
                if not _take(tx, user_id, due_by=current_time(tx)):
                    return
                for model in (AuthenticatorApp, Passkey):
                    tx.execute(delete(model).where(model.user_id == user_id))
                forget_rest(tx, user_id)
                tokens.revoke(tx, user_id, "keep")
                user.auth_epoch += 1
                revoke_sessions(tx, Revocation.of(user_id, user.auth_epoch))
                message = self._outbox.factors_changed(tx, user, "removed_by_admin")
        except UserNotFound:
            return
        except TooManyWaitingWriters:
            raise
        except RedisUnavailable:  # committed: the sessions end when Redis is back
            return
        self._outbox.send(message)


def _take(tx: Transaction, user_id: int, *, due_by: datetime | None = None) -> bool:
    """Delete a removal, so that it is either cancelled or done. Whether there was one."""
    taken = delete(FactorRemoval).where(FactorRemoval.user_id == user_id)
    if due_by is not None:
        taken = taken.where(FactorRemoval.due_at <= due_by)
    return tx.scalar(taken.returning(FactorRemoval.user_id)) is not None
