"""Sessions as they are stored: one JSON document each, put together as text.

A document begins with its user, so that scripts can tell whose it is without decoding it, and ends
with times that the server writes.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from .. import keys
from ..client.errors import RedisLayerError
from ..client.values import milliseconds, to_json

UserId = int | str


class SessionGone(RedisLayerError):
    """The session has expired or was revoked. It does not come back by being saved."""


class SessionChanged(RedisLayerError):
    """Somebody else saved the session since it was loaded. Load it again and repeat the change."""


class SessionRevoked(RedisLayerError):
    """All sessions of the user were revoked since the credentials were checked."""


class SessionExists(RedisLayerError):
    """There is a session of that id."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it was when it was loaded. `replace` it and `save` the result to change it.

    `revision` counts the saves. `expires_at` is the absolute end, `ttl_seconds` what was left of
    the idle time. `auth_at` is when the user last proved who they are.
    """

    session_id: str
    user_id: UserId
    user_data: dict[str, Any]
    revision: int
    auth_epoch: int
    idle_seconds: float
    created_at: datetime
    auth_at: datetime
    expires_at: datetime
    ttl_seconds: float

    @property
    def public_id(self) -> str:
        """Names the session where its id must not stand, as in URLs, lists and logs."""
        return hashlib.sha256(self.session_id.encode()).hexdigest()[:16]

    def with_data(self, **changes: Any) -> Self:
        """A copy with these entries of `user_data` changed."""
        return replace(self, user_data={**self.user_data, **changes})


@dataclass(frozen=True, slots=True)
class Revocation:
    """The end of a user's sessions of auth epochs older than this one, but for one session.

    `spared` is a SHA-256 of that one: its id is a secret, and revocations are kept in SQL.
    """

    user_id: UserId
    auth_epoch: int
    spared: str = ""

    @classmethod
    def of(cls, user_id: UserId, auth_epoch: int, spare: str | None = None) -> Self:
        """Of all sessions but the one with the id `spare`."""
        if spare is None:
            return cls(user_id, auth_epoch)
        return cls(user_id, auth_epoch, digest_of(keys.member_of_session_index(spare)))


def digest_of(member: str) -> str:
    return hashlib.sha256(member.encode()).hexdigest()


def beginning_of(user_id: UserId) -> str:
    return f'{{"user_id":{to_json(user_id)},'


def beginnings_of(user_id: UserId) -> tuple[str, str]:
    """Of user 7, whether somebody called them 7 or "7": their sessions share an index."""
    number = f'{{"user_id":{user_id},'
    return number, beginning_of(str(user_id))


def rest_of(user_data: dict[str, Any], auth_epoch: int, idle_ms: int, revision: int) -> str:
    text = to_json(user_data)
    if "\\ud" in text:  # half a surrogate pair is a string to Python, and no text to scripts
        json.dumps(user_data, default=str, ensure_ascii=False).encode()
    return f'"user_data":{text},"revision":{revision},"auth_epoch":{auth_epoch},"idle_ms":{idle_ms}'


def document_of(session: Session) -> str:
    idle_ms = milliseconds(session.idle_seconds)
    times = {
        "created_at": _to_ms(session.created_at),
        "auth_at": _to_ms(session.auth_at),
        "expires_at": _to_ms(session.expires_at),
    }
    rest = rest_of(session.user_data, session.auth_epoch, idle_ms, session.revision)
    return f"{beginning_of(session.user_id)}{rest},{to_json(times)[1:]}"


def session_of(session_id: str, text: str, ttl_ms: int) -> Session:
    document = json.loads(text)
    return Session(
        session_id=session_id,
        user_id=document["user_id"],
        user_data=document["user_data"],
        revision=document["revision"],
        auth_epoch=document["auth_epoch"],
        idle_seconds=document["idle_ms"] / 1000,
        created_at=_from_ms(document["created_at"]),
        auth_at=_from_ms(document["auth_at"]),
        expires_at=_from_ms(document["expires_at"]),
        ttl_seconds=ttl_ms / 1000,
    )


def decoded(text: str | None) -> dict[str, Any] | None:
    try:
        document = json.loads(text or "null")
    except ValueError:
        return None
    return document if isinstance(document, dict) and "user_id" in document else None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _from_ms(ms: int) -> datetime:
    return _EPOCH + ms * _MILLISECOND


def _to_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
