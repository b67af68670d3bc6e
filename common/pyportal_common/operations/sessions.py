"""Login sessions of a user: list, revoke."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..cache_handlers import RedisUnavailable, Revocation, Session, SessionStore
from ..db import (
    Act,
    Actor,
    Audit,
    Database,
    TooManyWaitingWriters,
    Transaction,
    revoke_sessions,
)
from .errors import Unknown

_ID = re.compile("[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session, without its id, which is a secret. `id` is the one in the user's own list."""

    id: str
    created_at: datetime
    auth_at: datetime
    last_used_at: datetime | None
    expires_at: datetime
    device: str
    network: str

    @classmethod
    def of(cls, session: Session) -> "SessionView":
        """The view of a session."""
        return cls(
            session.public_id,
            session.created_at,
            session.auth_at,
            session.last_used_at,
            session.expires_at,
            session.origin.get("device", ""),
            session.origin.get("network", ""),
        )


@dataclass(frozen=True, slots=True)
class Revoked:
    """What `revoke_all` has recorded: `count` sessions, or None if that is not known.

    If it `is_pending`, Redis is unavailable, and they end when it is available again.
    """

    count: int | None
    is_pending: bool = False


class SessionOperations:
    """The sessions of all users.

    `raise_epoch` raises that of a user in SQL. `find_user` returns the id of the user with a
    username or an e-mail address.
    """

    def __init__(
        self,
        database: Database,
        store: SessionStore,
        audit: Audit,
        raise_epoch: Callable[[Transaction, int], int],
        find_user: Callable[[str], int | None],
    ) -> None:
        self._database = database
        self._store = store
        self._audit = audit
        self._raise_epoch = raise_epoch
        self._find_user = find_user

    def user(self, name: str) -> int:
        """The id of a user: of this id, or with this username or e-mail address. Raises Unknown."""
        if _ID.fullmatch(name):
            return int(name)
        user_id = self._find_user(name)
        if user_id is None:
            raise Unknown("user", name)
        return user_id

    def list(self, user_id: int) -> Sequence[SessionView]:
        """The user's sessions. Raises RedisUnavailable."""
        return [SessionView.of(each) for each in self._store.list(user_id)]

    def count(self, user_id: int) -> int | None:
        """How many sessions `revoke_all` would end; None while Redis is unavailable."""
        try:
            return len(self._store.list(user_id))
        except RedisUnavailable:
            return None

    def revoke_all(self, actor: Actor, user_id: int) -> Revoked:
        """End all sessions of a user, and any login in progress. Returns how many it has found.

        Raises TooManyWaitingWriters; then nothing was changed.
        """
        count = self.count(user_id)
        try:
            with self._database.begin() as tx:
                act = Act("sessions revoke", f"user={user_id}")
                self._audit.record(tx, actor, act, count=count)
                epoch = self._raise_epoch(tx, user_id)
                revoke_sessions(tx, Revocation.of(user_id, epoch))
        except TooManyWaitingWriters:
            raise
        except RedisUnavailable:  # after the COMMIT: see `Database.begin`
            return Revoked(count, is_pending=True)
        return Revoked(count)

    def revoke(self, actor: Actor, user_id: int, public_id: str) -> None:
        """End one session of a user. Raises Unknown and RedisUnavailable."""
        found = next((s for s in self._store.list(user_id) if s.public_id == public_id), None)
        if found is None:
            raise Unknown(f"session of the user {user_id} with the id", public_id)
        act = Act("sessions revoke", f"user={user_id}", {"session": public_id})
        self._audit.record_first(actor, act, count=1)
        self._store.revoke(found.session_id)
