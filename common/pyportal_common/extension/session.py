"""`flask.session` on the SessionStore: loaded when it is used, written where it changed."""

import logging
import random
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from flask import json
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionMixin

from ..cache_handlers import Session, SessionChanged, SessionGone, SessionStore, UserId

logger = logging.getLogger(__name__)

_ANONYMOUS = "anonymous:"  # the users of sessions that nobody has logged in to
_USER_ID = "_portal_user_id"  # Flask-Login has `_user_id`
_PERMANENT = "_permanent"
_ATTEMPTS = 50  # each failure is the success of another request
_LONGEST_PAUSE = 0.01  # seconds

_serializer = TaggedJSONSerializer()  # the types that Flask's own sessions keep


class PortalSession(SessionMixin):
    """The session of a request. It is loaded when it is first used, in one round trip.

    Saving sends the entries that changed, also within lists and dicts. Entries that other requests
    changed meanwhile are kept; of two changes to one entry the later one remains. A session that
    ended meanwhile stays ended, and the changes are dropped.
    """

    def __init__(self, store: SessionStore, session_id: str | None) -> None:
        self._store = store
        self._presented_id = session_id
        self.awaited_id = session_id
        """The id that the client sent, until the session is loaded."""
        self._received: Session | None = None
        self._stored: Session | None = None
        self._before: dict[str, str] = {}  # the texts of the stored entries
        self._entries: dict[str, Any] | None = None
        self._cookie = (session_id, False)
        self._ended = False

    # --- the mapping ---

    def __getitem__(self, name: str) -> Any:
        return self._loaded()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._loaded()[name] = value

    def __delitem__(self, name: str) -> None:
        del self._loaded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded())

    def __len__(self) -> int:
        return len(self._loaded())

    def __repr__(self) -> str:  # never the entries: they may be personal
        return f"<PortalSession of {self._stored.public_id if self._stored else 'nobody'}>"

    @property
    def new(self) -> bool:  # type: ignore[override]  # it is a constant in the mixin
        """Whether there is no stored session yet."""
        self._loaded()
        return self._stored is None

    @property
    def modified(self) -> bool:
        """Whether an entry changed. Setting it has no effect: changes are found by comparing."""
        return self._entries is not None and self._texts() != self._before

    @modified.setter
    def modified(self, value: bool) -> None:
        pass

    @property
    def user_id(self) -> UserId | None:
        """The user who logged in, or None."""
        if _USER_ID not in self._loaded() or self._stored is None:
            return None
        return logged_in(self._stored.user_id)

    @property
    def session_id(self) -> str | None:
        """The id of the stored session, if there is one."""
        self._loaded()
        return self._stored.session_id if self._stored is not None else None

    def cookie_change(self) -> "Session | Literal['delete'] | None":
        """What to do with the client's cookie: set it to a session, delete it, or nothing.

        The cookie of a session that ended elsewhere is not deleted: a request that is faster may
        have set another one.
        """
        if self._stored is None:
            return "delete" if self._ended else None
        return self._stored if self._described() != self._cookie else None

    def _described(self) -> tuple[str | None, bool]:
        """What the cookie depends on: the session's id, and whether it is permanent."""
        session_id = self._stored.session_id if self._stored is not None else None
        return session_id, self._before.get(_PERMANENT) == "true"

    # --- login and logout ---

    def log_in(self, user_id: UserId, auth_epoch: int | None) -> None:
        """Continue as a user, under a new id. The old one ends at once. Four round trips.

        The entries are kept; those that another user's session had are not.
        """
        if isinstance(user_id, str) and user_id.startswith(_ANONYMOUS):
            raise ValueError(f"a user id must not begin with {_ANONYMOUS!r}")
        entries = self._loaded()
        if self.user_id not in {None, user_id}:
            entries = {name: entries[name] for name in entries.keys() - self._before.keys()}
        texts = {name: _text(value) for name, value in {**entries, _USER_ID: user_id}.items()}
        # The old session is not changed: in an outage nobody must be logged in under the old id.
        created = self._store.create(user_id, _plain(texts), auth_epoch=auth_epoch)
        if self._stored is not None:
            self._store.supersede(self._stored.session_id)
        # The entries themselves remain: the view may hold lists and dicts of them.
        self._stored, self._before, self._entries = created, texts, {**entries, _USER_ID: user_id}

    def log_out(self) -> None:
        """End the session at once, for all requests. Two round trips.

        One that a login has continued in the meantime is left to that login.
        """
        self._loaded()
        if self._stored is not None:
            is_ours = self._store.revoke(self._stored.session_id)
        else:
            is_ours = not self._is_superseded()
        self.forget(is_ours=is_ours)

    def forget(self, *, is_ours: bool = True) -> None:
        """Continue without a session, because it has ended. The client's cookie is deleted if it is
        the one of that session.
        """
        self._stored, self._entries, self._before = None, {}, {}
        self._ended = is_ours and self._presented_id is not None

    # --- saving ---

    def save(self) -> None:
        """Store what changed. One round trip, and two more for each request that was faster.

        A session whose last entry was removed ends, as does that of a user whose entry was removed,
        as `clear` does. What was set after that is in another session, under a new id.
        """
        if self._entries is None:
            return
        texts = self._texts()
        changed = {name: text for name, text in texts.items() if self._before.get(name) != text}
        removed = self._before.keys() - texts.keys()
        if not (changed or removed):
            return
        if self._stored is not None and (not texts or _USER_ID in removed):
            self.log_out()
        if not texts:
            return
        if self._stored is None:
            self._create(texts)
        else:
            self._merge(self._stored, changed, removed)

    def _create(self, texts: dict[str, str]) -> None:
        if texts.keys() == {_PERMANENT}:  # apps set it for every visitor
            return
        if self._is_superseded():  # the client's cookie is a newer one, of a login
            logger.debug("The session was continued by a login; the changes are dropped")
            return
        user_id = _ANONYMOUS + secrets.token_urlsafe(16)
        self._become(self._store.create(user_id, _plain(texts)))

    def _is_superseded(self) -> bool:
        presented = self._presented_id
        return presented is not None and not self._ended and self._store.is_superseded(presented)

    def _merge(self, session: Session, changed: dict[str, str], removed: set[str]) -> None:
        changes = _plain(changed)
        for attempt in range(_ATTEMPTS):
            kept = {name: each for name, each in session.user_data.items() if name not in removed}
            try:
                self._become(self._store.save(replace(session, user_data=kept | changes)))
                return
            except SessionGone:
                break
            except SessionChanged:
                time.sleep(random.uniform(0, _LONGEST_PAUSE) * min(attempt, 1))  # noqa: S311
            found = self._store.load(session.session_id, touch=False)
            if found is None:
                break
            session = found
        else:
            raise SessionChanged("the session is changed by too many requests at once")
        logger.debug("A session has ended during the request; its changes are dropped")

    # --- loading ---

    def _loaded(self) -> dict[str, Any]:
        if self._entries is None:
            if self.awaited_id is not None:
                self.receive(self._store.load(self.awaited_id))
            self.accessed = True
            self._entries = {}
            if self._received is not None:
                self._become(self._received)
                self._cookie = self._described()
        return self._entries

    def receive(self, session: Session | None) -> None:
        """Use this stored session, which was loaded under the id that the client sent."""
        self.awaited_id, self._received = None, session

    def _become(self, session: Session) -> None:
        self._stored = session
        self._before = {name: json.dumps(each) for name, each in session.user_data.items()}
        self._entries = {name: _serializer.loads(text) for name, text in self._before.items()}

    def _texts(self) -> dict[str, str]:
        return {name: _text(value) for name, value in self._loaded().items()}


def logged_in(user_id: UserId | None) -> UserId | None:
    """The user of a session; None for one that nobody has logged in to."""
    is_anonymous = isinstance(user_id, str) and user_id.startswith(_ANONYMOUS)
    return None if is_anonymous else user_id


def revoke_all(store: SessionStore, user_id: UserId, epoch: int | None, spare: str | None) -> int:
    """End the sessions of a user, except that with the id `spare`; return how many ended."""
    if epoch is None:
        # Later than that of any session: no other source gives the epochs of this user.
        known = max((session.auth_epoch for session in store.list(user_id)), default=0)
        epoch = max(known + 1, int(time.time() * 1000))
    return store.revoke_all(user_id, auth_epoch=epoch, spare=spare)


def _text(value: Any) -> str:
    """The JSON text of an entry. TypeError for a value that Flask's own sessions cannot keep."""
    return json.dumps(_serializer.tag(value))


def _plain(texts: dict[str, str]) -> dict[str, Any]:
    return {name: json.loads(text) for name, text in texts.items()}
