"""Sessions as they are stored: one JSON document for each, composed as text.

A document starts with its user, so that a script recognises the user without decoding it, and ends
with the times that the server appends.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Self, TypeGuard

from .. import keys
from ..client.errors import RedisLayerError
from ..client.values import from_json, milliseconds, to_json

UserId = int | str
"""The id of a user, as the app has it in SQL."""

FactorTimes = Mapping[str, datetime | None]
"""When each factor was proven, by its name in RFC 8176, such as "pwd"; None for now."""


class SessionGone(RedisLayerError):
    """The session has expired or was revoked. Saving does not bring it back."""


class SessionChanged(RedisLayerError):
    """The session was saved since it was loaded. Load it again and repeat the change."""


class SessionRevoked(RedisLayerError):
    """All sessions of the user were revoked since the credentials were checked."""


class SessionExists(RedisLayerError):
    """There is already a session with this id."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login session as it was loaded. To change it, save a copy: `store.save(s.with_data(…))`.

    `revision` counts the saves. `auth_at` is when the user last authenticated, `expires_at` the
    absolute timeout, `ttl_seconds` the time until the session expires unless it is used. `origin`
    describes the login, and never changes.

    These times are those of Redis, whose clock may differ from that of this machine. So
    `auth_age_seconds` says how long ago the user had authenticated when the session was loaded. It
    is infinite in lists. With several `factors` it is that of the one that was proven first.

    `factors` says when the user proved what, such as "pwd" for the password: see `amr`.

    In lists `last_used_at` is the last use, at most a minute too early (a sixtieth of the idle
    time); None for a session that was refreshed for longer than its idle time.
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
    origin: dict[str, str] = field(default_factory=dict)
    last_used_at: datetime | None = None
    factors: dict[str, datetime] = field(default_factory=dict)
    auth_age_seconds: float = field(default=math.inf, compare=False)

    @property
    def public_id(self) -> str:
        """An identifier for URLs, lists and logs, which must not contain the session id."""
        return digest_of(self.session_id)[:16]

    @property
    def amr(self) -> list[str]:
        """How the user has authenticated, in the words of RFC 8176: with "mfa" for two factors."""
        return [*sorted(self.factors), *(["mfa"] if self.has_second_factor else [])]

    @property
    def has_second_factor(self) -> bool:
        """Whether the user has proven more than one factor."""
        return len(self.factors) > 1

    def with_data(self, **changes: Any) -> Self:
        """A copy with these entries of `user_data` changed."""
        return replace(self, user_data={**self.user_data, **changes})


@dataclass(frozen=True, slots=True)
class Revocation:
    """The revocation of a user's sessions of older auth epochs, except one.

    `spared` is the SHA-256 of that one: its id is a secret, and revocations are stored in SQL.
    """

    user_id: UserId
    auth_epoch: int
    spared: str = ""

    @classmethod
    def of(cls, user_id: UserId, auth_epoch: int, spare: str | None = None) -> Self:
        """The revocation of all sessions except the one with the id `spare`."""
        if spare is None:
            return cls(user_id, auth_epoch)
        return cls(user_id, auth_epoch, digest_of(keys.member_of_session_index(spare)))


def digest_of(text: str) -> str:
    """The SHA-256 of a session id or of a member of an index."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@lru_cache(maxsize=2000, typed=True)
def prefixes(user_id: UserId) -> tuple[str, str]:
    """The prefixes for a user id as number and as text: user 7 and user "7" share an index."""
    return f'{{"user_id":{user_id},', f'{{"user_id":{to_json(str(user_id))},'


def beginning_of(
    user_id: UserId,
    user_data: dict[str, Any],
    auth_epoch: int,
    idle_ms: int,
    *,
    revision: int,
    origin: Mapping[str, str],
    factors: FactorTimes,
) -> str:
    """A document without its end, the times. ValueError for what cannot be read again.

    A factor that is proven now is stored without a time: it is that of `auth_at`, by the server.
    """
    if not _is_user(user_id):
        raise ValueError("a user id is a text that is not empty, or a whole number of 64 bits")
    data = to_json(user_data)
    login = f',"origin":{to_json(origin)}' if origin else ""
    if factors:
        times = {name: None if at is None else _ms(at) for name, at in factors.items()}
        login += f',"factors":{to_json(times)}'
    if "\\ud" in data or "\\ud" in login:  # scripts cannot decode it, so refuse it here
        _refuse_surrogates([user_data, dict(origin), list(factors)])
    return (
        f'{{"user_id":{to_json(user_id)},"user_data":{data}{login},"revision":{revision}'
        f',"auth_epoch":{auth_epoch},"idle_ms":{idle_ms}'
    )


def next_revision_of(session: Session, auth_epoch: int, factors: FactorTimes | None = None) -> str:
    """The next document of a session, without its end. Its factors stay, unless some are given."""
    idle_ms, revision = milliseconds(session.idle_seconds), session.revision + 1
    return beginning_of(
        session.user_id,
        session.user_data,
        auth_epoch,
        idle_ms,
        revision=revision,
        origin=session.origin,
        factors=session.factors if factors is None else factors,
    )


def read(session_id: str, text: str, ttl_ms: int, now_ms: float = math.inf) -> Session | None:
    """The session in a text; None if it is not one: a session that cannot be read is no session."""
    try:
        return session_of(session_id, text, ttl_ms, now_ms)
    except (ValueError, OverflowError):
        return None


def session_of(session_id: str, text: str, ttl_ms: int, now_ms: float | None = None) -> Session:
    """The session in a text, which began just now unless the time of Redis is given.

    Raises ValueError or OverflowError if it is not one.
    """
    known = _known(text) if len(text) <= _LONGEST_KNOWN else _parse(text)
    return Session(
        session_id=session_id,
        user_id=known.user_id,
        user_data=_copy(known.user_data),
        revision=known.revision,
        auth_epoch=known.auth_epoch,
        idle_seconds=known.idle_seconds,
        created_at=known.created_at,
        auth_at=known.auth_at,
        expires_at=known.expires_at,
        ttl_seconds=ttl_ms / 1000,
        origin=dict(known.origin),
        factors=dict(known.factors),
        auth_age_seconds=_auth_age(known, now_ms),
    )


def _refuse_surrogates(value: object) -> None:
    """Raise UnicodeEncodeError, which is a ValueError, for half a surrogate pair in a text."""
    json.dumps(value, default=str, ensure_ascii=False).encode()


def _auth_age(session: Session, now_ms: float | None) -> float:
    if now_ms is None:
        now_ms = session.auth_at.timestamp() * 1000
    oldest = min(session.factors.values(), default=session.auth_at)
    return now_ms / 1000 - oldest.timestamp()


def _parse(text: str) -> Session:
    """The session in a text, without its id and its time to live. Raises as `session_of` does."""
    document = from_json(text)
    if "\\u" in text or not text.isascii():
        _refuse_surrogates(document)
    if not isinstance(document, dict) or not _is_session(text, document):
        raise ValueError("not a session")
    auth_at = moment(document["auth_at"])
    proven = document.get("factors", {})
    return Session(
        session_id="",
        user_id=document["user_id"],
        user_data=document["user_data"],
        revision=document["revision"],
        auth_epoch=document["auth_epoch"],
        idle_seconds=document["idle_ms"] / 1000,
        created_at=moment(document["created_at"]),
        auth_at=auth_at,
        expires_at=moment(document["expires_at"]),
        ttl_seconds=0,
        origin=document.get("origin", {}),
        factors={name: auth_at if ms is None else moment(ms) for name, ms in proven.items()},
    )


# A text is parsed once, not in every request with the session. The values are never handed out.
_known = lru_cache(maxsize=1000)(_parse)
_LONGEST_KNOWN = 4000  # characters


def _copy(data: Any) -> Any:
    """A copy of parsed JSON. It shares nothing that can be changed."""
    if isinstance(data, dict):
        return {name: _copy(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_copy(value) for value in data]
    return data


def times_of(session: Session) -> str:
    """The times at the end of a session's document, which no save changes."""
    created, authenticated, expires = map(
        _ms, (session.created_at, session.auth_at, session.expires_at)
    )
    return f',"created_at":{created},"auth_at":{authenticated},"expires_at":{expires}}}'


def _is_session(text: str, document: Mapping[str, Any]) -> bool:
    """Whether a document has the fields of a session, and the user where scripts expect it."""
    user_id = document.get("user_id")
    return (
        _is_user(user_id)
        and text.startswith(prefixes(user_id))
        and isinstance(document.get("user_data"), dict)
        and _is_origin(document.get("origin", {}))
        and _are_factors(document.get("factors", {}))
        and _is_whole(document.get("idle_ms"), 1)
        and all(_is_whole(document.get(name), 0) for name in _COUNTS)
    )


def _is_user(value: object) -> TypeGuard[UserId]:
    return (isinstance(value, str) and value != "") or _is_whole(value, 1 - _MOST)


def _is_origin(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _are_factors(value: object) -> bool:
    return isinstance(value, dict) and all(ms is None or _is_whole(ms, 0) for ms in value.values())


def _is_whole(value: object, least: int) -> bool:
    return type(value) is int and least <= value < _MOST


_MOST = 2**63
_COUNTS = ("revision", "auth_epoch", "created_at", "auth_at", "expires_at")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def moment(ms: int) -> datetime:
    """A time of the server's clock."""
    return _EPOCH + timedelta(milliseconds=ms)
