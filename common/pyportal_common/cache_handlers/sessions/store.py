"""Sessions that all services share, in Redis, with an index for each user."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from ...settings import Settings
from .. import keys
from ..client.client import RedisClient
from ..client.connections import SendCommand
from ..client.errors import RedisLayerError, RedisUnavailable
from ..client.registry import get_redis_client
from ..client.settings import SessionSettings
from ..client.values import milliseconds
from . import documents
from .documents import FactorTimes, Revocation, Session, UserId
from .ended import EndedSessions
from .user_index import UNINDEXED, UserIndex, session_script

_HOUR = 3600.0  # seconds
_MAX_PER_USER = 100
_ATTEMPTS = 3
_SUPERSEDED = "superseded"  # in place of a document: it is no session
_IN_FLIGHT_SECONDS = 60.0  # how long a request may take


class SessionStore:
    """Creates, loads and revokes sessions. Each call is one round trip unless it says otherwise.

    A user has at most `max_per_user` sessions: the oldest ends when one more is created.

    A session ends `idle_seconds` after its last use, `absolute_seconds` after the user
    authenticated, or when it is revoked: at once, in all services. Times are the server's.

    Every call raises RedisUnavailable in an outage: a user is never taken for another one, nor for
    anonymous.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        idle_seconds: float = _HOUR,
        absolute_seconds: float = 12 * _HOUR,
        max_per_user: int = _MAX_PER_USER,
    ) -> None:
        self.client = client
        """The client of the Redis database that holds the sessions."""
        self._idle_seconds = idle_seconds
        self._absolute_ms = milliseconds(absolute_seconds)
        self._max_per_user = max_per_user
        self._index = UserIndex(client)
        self.load_script = session_script("load")
        create = session_script("create").calling(index=session_script("index"))
        self._scripts = {
            "create": create,
            "rotate": session_script("rotate").calling(create=create),
            "save": session_script("save"),
            "forget": session_script("forget"),
            "revoke": session_script("revoke"),
            "supersede": session_script("supersede"),
        }
        self._ended = client.companions.of(EndedSessions)

    def create(
        self,
        user_id: UserId,
        user_data: dict[str, Any],
        *,
        auth_epoch: int | None = 0,
        session_id: str | None = None,
        idle_seconds: float | None = None,
        replace_existing: bool = False,
        origin: Mapping[str, str] | None = None,
        factors: Iterable[str] = (),
    ) -> Session:
        """Create a session, with a new random id unless one is given.

        `origin` describes the login, such as its device, for the user's list of sessions. `factors`
        are what the user has just proven, such as "pwd" for the password: see `Session.amr`.

        `auth_epoch` is the user's, read from SQL together with the credentials; None if the caller
        knows none. Raises SessionRevoked if Redis holds a later epoch, ValueError if `user_data` is
        not Unicode text, and SessionExists if the id is taken, unless `replace_existing`.
        """
        session_id = session_id or new_session_id()
        idle_ms = milliseconds(self._idle_seconds if idle_seconds is None else idle_seconds)
        epoch = "" if auth_epoch is None else auth_epoch
        document = documents.beginning_of(
            user_id,
            user_data,
            auth_epoch or 0,
            idle_ms,
            revision=1,
            origin=origin or {},
            factors=dict.fromkeys(factors),
        )
        member = keys.member_of_session_index(session_id)
        reply = self._run_indexed(
            "create",
            user_id,
            [keys.session(session_id)],
            [document, epoch, idle_ms, self._absolute_ms, member, int(replace_existing)],
        )
        return self._new(session_id, reply, idle_ms)

    def load(self, session_id: str, *, touch: bool = True) -> Session | None:
        """The session, or None. `touch` resets its idle timeout."""
        if not session_id:
            return None
        reply = self.client.run(self.load_script, [keys.session(session_id)], [int(touch)])
        return self.loaded(session_id, reply)

    def loaded(self, session_id: str, reply: list[Any] | None) -> Session | None:
        """The session in a reply of `load_script`, run alone or within another script."""
        session = documents.read(session_id, *reply) if reply else None
        self.client.observer.session("load", "ok" if session is not None else "missing")
        return session

    def save(self, session: Session) -> Session:
        """Store a changed `user_data`. The time to live does not change.

        Raises SessionGone if the session has ended, and SessionChanged if it was saved since it was
        loaded: no update is lost and no logout is undone.
        """
        document = documents.next_revision_of(session, session.auth_epoch)
        names = [keys.session(session.session_id)]
        _raise_for(self._run("save", names, [document, session.revision]))
        return replace(session, revision=session.revision + 1)

    def refresh(self, session_id: str, ttl: float | None = None) -> float | None:
        """Make the session expire `ttl` seconds from now, but not after its absolute timeout.

        Returns its new time to live in seconds, or None if there is no such session.
        """
        ttl_ms = milliseconds(self._idle_seconds if ttl is None else ttl)
        if not session_id:
            return None
        reply = self.client.run(self.load_script, [keys.session(session_id)], [0, ttl_ms])
        self.client.observer.session("refresh", "ok" if reply else "missing")
        return reply[1] / 1000 if reply else None

    def rotate(
        self,
        session: Session,
        *,
        auth_epoch: int | None = None,
        factors: FactorTimes | None = None,
    ) -> Session:
        """Continue under a new id after the user authenticated again. The old id ends at once.

        Resets the absolute timeout. `factors` replace those of the session, which otherwise keep
        their times. Raises SessionGone, SessionChanged and SessionRevoked.
        """
        names = [session.session_id, new_session_id()]
        user_id, idle_ms = session.user_id, milliseconds(session.idle_seconds)
        epoch = session.auth_epoch if auth_epoch is None else auth_epoch
        document = documents.next_revision_of(session, epoch, factors)
        members = map(keys.member_of_session_index, names)
        reply = self._run_indexed(
            "rotate",
            user_id,
            [*map(keys.session, names), keys.ENDED_SESSIONS],
            [document, session.revision, epoch, idle_ms, self._absolute_ms, *members],
        )
        new = self._new(names[1], reply, idle_ms)
        self._ended.add(keys.session(names[0]), documents.times_of(session))
        return new

    def revoke(self, session_id: str) -> bool:
        """End a session at once, in all services. Returns whether it existed.

        Two round trips: the second removes it from the user's index. If that fails, the entry is
        harmless.
        """
        return self._end("revoke", session_id, [_SUPERSEDED]) if session_id else False

    def supersede(self, session_id: str) -> bool:
        """End a session that another one continues, as `revoke` does. See `is_superseded`."""
        mark = (_SUPERSEDED, milliseconds(_IN_FLIGHT_SECONDS))
        return self._end("supersede", session_id, mark)

    def is_superseded(self, session_id: str) -> bool:
        """Whether a session was continued by another one within the last minute.

        A request that still sends its id began before, and must not begin a session of its own.
        """
        text, _ = self.client.get_with_ttl(keys.session(session_id))  # None for another type
        return text == _SUPERSEDED

    def _end(self, script: str, session_id: str, args: Sequence[str | int]) -> bool:
        key = keys.session(session_id)
        text = self.client.run(self._scripts[script], [key, keys.ENDED_SESSIONS], args)
        session = documents.read(session_id, text, 0) if text is not None else None
        self.client.observer.session("revoke", "missing" if session is None else "ok")
        if session is None:
            return False
        self._ended.add(key, documents.times_of(session))
        names = [key, keys.user_sessions(session.user_id)]
        member = keys.member_of_session_index(session_id)
        with suppress(RedisLayerError):
            self.client.run(self._scripts["forget"], names, [member])
        return True

    def revoke_all(self, user_id: UserId, *, auth_epoch: int, spare: str | None = None) -> int:
        """End the sessions of a user except the one with the id `spare`; return how many ended.

        `auth_epoch` is the user's new one, raised in SQL before: sessions with an older one end,
        and a login that has read an older one cannot create a session. Two round trips for each
        hundred sessions.
        """
        return self.revoke_as(Revocation.of(user_id, auth_epoch, spare))

    def revoke_as(self, revocation: Revocation, send: SendCommand | None = None) -> int:
        """Execute a revocation, once or repeatedly; return how many sessions ended.

        In a connect hook `send` sends on its connection: see `RedisClient.on_connect`. Two round
        trips for each hundred sessions.
        """
        ended = self._index.revoke(revocation, 2 * self._absolute_ms, send)
        self.client.observer.session("revoke_all", "ok")
        return ended

    def list(self, user_id: UserId) -> Sequence[Session]:
        """The current sessions of a user, ordered by their absolute timeout.

        Two round trips for each hundred.
        """
        found = self._index.list(user_id)
        self.client.observer.session("list", "ok")
        return sorted(found, key=lambda session: (session.expires_at, session.session_id))

    def _new(self, session_id: str, reply: str, idle_ms: int) -> Session:
        ttl_ms = min(idle_ms, self._absolute_ms)
        return documents.session_of(session_id, _raise_for(reply), ttl_ms)

    def _run_indexed(
        self, name: str, user_id: UserId, names: Sequence[str], args: Sequence[str | int]
    ) -> Any:
        """Run a script that adds to the user's index. An index of another type is rebuilt."""
        names = [*names, keys.user_sessions(user_id), keys.auth_epoch(user_id)]
        prefixes = documents.prefixes(user_id)
        common: list[str | int] = [self._max_per_user, *prefixes, keys.SESSION_PREFIX]
        for _ in range(_ATTEMPTS):
            reply = self._run(name, names, [*args, *common])
            if reply != UNINDEXED:
                return reply
            self._index.rebuild(user_id)
        raise RedisUnavailable("Redis holds an index of sessions that cannot be repaired")

    def _run(self, name: str, names: Sequence[str], args: Sequence[str | int]) -> Any:
        reply = self.client.run(self._scripts[name], names, args)
        if reply == UNINDEXED:  # the call is repeated
            return reply
        is_refused = isinstance(reply, str) and reply in _REFUSALS
        self.client.observer.session(name, reply if is_refused else "ok")
        return reply


class SessionLimits(Settings):
    """How many sessions a user may have at once."""

    model_config = SettingsConfigDict(env_prefix="SESSION_")

    max_per_user: int = Field(_MAX_PER_USER, ge=1, le=10_000)


def new_session_id() -> str:
    """An id with 256 random bits."""
    return secrets.token_urlsafe(32)


def get_session_client() -> RedisClient:
    """The client of the Redis database in which all services keep sessions.

    The server is that of SESSION_REDIS_URL, else of the REDIS_* variables; the database is
    SESSION_REDIS_DB, else 0.
    """
    settings, db = SessionSettings.load().server()
    return get_redis_client(db, settings=settings)


_REFUSALS: dict[str, type[RedisLayerError]] = {
    "gone": documents.SessionGone,
    "changed": documents.SessionChanged,
    "revoked": documents.SessionRevoked,
    "exists": documents.SessionExists,
}


def _raise_for(reply: str) -> str:
    """The document in a reply. Raises the error for a refusal."""
    if reply in _REFUSALS:
        raise _REFUSALS[reply](f"the session is {reply}")
    return reply
