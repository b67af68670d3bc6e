"""Sessions that all services share: kept in Redis, with an index of each user's."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .. import keys
from ..client.client import RedisClient
from ..client.connections import SendCommand
from ..client.errors import RedisLayerError
from ..client.registry import get_redis_client
from ..client.scripts import Script
from ..client.settings import RedisSettings, SessionSettings
from ..client.values import milliseconds
from .documents import (
    Revocation,
    Session,
    SessionChanged,
    SessionExists,
    SessionGone,
    SessionRevoked,
    UserId,
    beginning_of,
    beginnings_of,
    decoded,
    digest_of,
    document_of,
    rest_of,
    session_of,
)

_HOUR = 3600.0  # seconds


class SessionStore:
    """Creates, finds and ends sessions. Each call is one round trip, unless it says otherwise.

    A session ends `idle_seconds` after it was last used, `absolute_seconds` after the user proved
    who they are, or when it is revoked: at once, in all services. Times are the server's.

    Every call raises RedisUnavailable in an outage: nobody is taken for somebody, or for nobody,
    by guessing.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        idle_seconds: float = _HOUR,
        absolute_seconds: float = 12 * _HOUR,
    ) -> None:
        self._client = client
        self._idle_seconds = idle_seconds
        self._absolute_ms = milliseconds(absolute_seconds)
        self.load_script = Script.load(__package__, "load")
        self._scripts = {
            name: Script.load(__package__, name)
            for name in (
                "create",
                "refresh",
                "save",
                "rotate",
                "forget",
                "revoke_all",
                "list",
            )
        }

    @property
    def client(self) -> RedisClient:
        """Of the Redis that the sessions are in."""
        return self._client

    def create(
        self,
        user_id: UserId,
        user_data: dict[str, Any],
        *,
        auth_epoch: int | None = 0,
        session_id: str | None = None,
        idle_seconds: float | None = None,
        replace_existing: bool = False,
    ) -> Session:
        """Begin a session, under a new unguessable id unless one is given.

        `auth_epoch` is the user's, read from SQL together with what proved who they are; None for
        callers that know none. Raises SessionRevoked where `revoke_all` has told of a later one,
        ValueError for `user_data` that is no Unicode text, and SessionExists where the id
        is taken and `replace_existing` does not say otherwise.
        """
        session_id = session_id or new_session_id()
        idle_ms = milliseconds(self._idle_seconds if idle_seconds is None else idle_seconds)
        answer = self._run(
            "create",
            [keys.session(session_id), keys.user_sessions(user_id), keys.auth_epoch(user_id)],
            [
                beginning_of(user_id) + rest_of(user_data, auth_epoch or 0, idle_ms, revision=1),
                "" if auth_epoch is None else auth_epoch,
                idle_ms,
                self._absolute_ms,
                keys.member_of_session_index(session_id),
                int(replace_existing),
            ],
        )
        return session_of(session_id, _raise_for(answer), min(idle_ms, self._absolute_ms))

    def load(self, session_id: str, *, touch: bool = True) -> Session | None:
        """The session, or None where there is none. With `touch` its idle time begins anew."""
        answer = self._client.run(self.load_script, [keys.session(session_id)], [int(touch)])
        return self.loaded(session_id, answer)

    def loaded(self, session_id: str, answer: list[Any] | None) -> Session | None:
        """The session of what the script session_load answered, here or in another."""
        self._client.observer.session("load", "ok" if answer else "missing")
        return session_of(session_id, *answer) if answer else None

    def save(self, session: Session) -> Session:
        """Store a changed `user_data`. Its time to live stays as it is.

        Raises SessionGone when it has ended meanwhile, and SessionChanged when it was saved
        meanwhile: no update is lost silently, and no logout undone.
        """
        saved = replace(session, revision=session.revision + 1)
        answer = self._run(
            "save", [keys.session(session.session_id)], [document_of(saved), session.revision]
        )
        _raise_for(answer)
        return saved

    def refresh(self, session_id: str, ttl: float | None = None) -> float | None:
        """Let the session live another `ttl` seconds from now, within its absolute end.

        The seconds that it has now, or None where there is none.
        """
        ttl_ms = milliseconds(self._idle_seconds if ttl is None else ttl)
        left_ms: int = self._run("refresh", [keys.session(session_id)], [ttl_ms])
        return left_ms / 1000 if left_ms else None

    def rotate(self, session: Session, *, auth_epoch: int | None = None) -> Session:
        """Go on under a new id, after a new proof of who the user is; the old id ends at once.

        The absolute time begins anew. Raises SessionGone, SessionChanged and SessionRevoked.
        """
        new_id = new_session_id()
        epoch = session.auth_epoch if auth_epoch is None else auth_epoch
        idle_ms = milliseconds(session.idle_seconds)
        answer = self._run(
            "rotate",
            [
                keys.session(session.session_id),
                keys.session(new_id),
                keys.user_sessions(session.user_id),
                keys.auth_epoch(session.user_id),
            ],
            [
                beginning_of(session.user_id)
                + rest_of(session.user_data, epoch, idle_ms, session.revision + 1),
                session.revision,
                epoch,
                idle_ms,
                self._absolute_ms,
                keys.member_of_session_index(session.session_id),
                keys.member_of_session_index(new_id),
            ],
        )
        return session_of(new_id, _raise_for(answer), min(idle_ms, self._absolute_ms))

    def revoke(self, session_id: str) -> bool:
        """End a session, at once in all services. Whether there was one.

        Two round trips: the second takes it off its user's index, where it would do no harm.
        """
        text = self._client.execute("GETDEL", keys.session(session_id))
        document = decoded(text)
        self._client.observer.session("revoke", "missing" if document is None else "ok")
        if document is None:
            return False
        index = keys.user_sessions(document["user_id"])
        member = keys.member_of_session_index(session_id)
        self._run("forget", [keys.session(session_id), index], [member])
        return True

    def revoke_all(self, user_id: UserId, *, auth_epoch: int, spare: str | None = None) -> int:
        """End the sessions of a user but the one with the id `spare`; how many there were.

        `auth_epoch` is the user's new one, raised in SQL before: sessions of older ones end, and a
        login that read an old one cannot begin one any more. One round trip.
        """
        return self.revoke_as(Revocation.of(user_id, auth_epoch, spare))

    def revoke_as(self, revocation: Revocation, exchange: SendCommand | None = None) -> int:
        """End what a revocation says; how many sessions that were. It may come again.

        Over one connection where `exchange` is that of a greeting: see `RedisClient.on_connect`.
        One round trip, two where a session is spared.
        """
        exchange = exchange or self._client.execute
        index = keys.user_sessions(revocation.user_id)
        spared = ""
        if revocation.spared:
            members = exchange("ZRANGE", index, 0, -1)
            spared = next((one for one in members if digest_of(one) == revocation.spared), "")
        names = [index, keys.auth_epoch(revocation.user_id)]
        ended = exchange(
            "EVAL",
            self._scripts["revoke_all"].text,
            len(names),
            *names,
            revocation.auth_epoch,
            2 * self._absolute_ms,
            *beginnings_of(revocation.user_id),
            keys.SESSION_PREFIX,
            spared,
        )
        self._client.observer.session("revoke_all", "ok")
        return int(ended)

    def list(self, user_id: UserId) -> Sequence[Session]:
        """The sessions of a user that are alive, the one that ends last at the end."""
        answer = self._run(
            "list",
            [keys.user_sessions(user_id)],
            [*beginnings_of(user_id), keys.SESSION_PREFIX],
        )
        rows = zip(answer[::3], answer[1::3], answer[2::3], strict=True)
        return [session_of(keys.session_of_member(member), text, ms) for member, text, ms in rows]

    def _run(self, name: str, names: Sequence[str], args: Sequence[str | int]) -> Any:
        answer = self._client.run(self._scripts[name], names, args)
        if name != "forget":  # the rest of a revoke
            self._client.observer.session(name, _outcome_of(name, answer))
        return answer


def new_session_id() -> str:
    """An id that nobody can guess: 256 random bits."""
    return secrets.token_urlsafe(32)


def get_session_client() -> RedisClient:
    """The client of the Redis that all services keep their sessions in.

    SESSION_REDIS_URL, else the server of the REDIS_* variables; SESSION_REDIS_DB, else 0.
    """
    where = SessionSettings.load()
    settings = RedisSettings.load()
    if where.redis_url is not None:
        settings = settings.model_copy(update={"url": where.redis_url})
        return get_redis_client(settings.database(where.redis_db), settings=settings)
    return get_redis_client(where.redis_db, settings=settings)


_REFUSALS: dict[str, type[RedisLayerError]] = {
    "gone": SessionGone,
    "changed": SessionChanged,
    "revoked": SessionRevoked,
    "exists": SessionExists,
}


def _outcome_of(operation: str, answer: Any) -> str:
    if isinstance(answer, str) and answer in _REFUSALS:
        return answer
    return "missing" if not answer and operation == "refresh" else "ok"


def _raise_for(answer: str) -> str:
    """The document that a script answered. Raises what its refusal means."""
    if answer in _REFUSALS:
        raise _REFUSALS[answer](f"the session is {answer}")
    return answer
