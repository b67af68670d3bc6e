"""Every key that the services use in Redis.

A key consists of its kind, a colon and one identifier. Metrics and logs use the part before the
last colon as the kind, so it must not contain an identifier.

Identifiers come from clients. Characters that could change the meaning of a key are encoded as in
a URL: braces (they choose the Cluster slot), blanks and control characters (they break tools and
logs), the percent sign, and except in rate limits the colon (user "bookings:7" must not share the
key of the bookings of user 7).
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

_UNSAFE = re.compile(
    r"[%{}\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff]"
)
_UNSAFE_OR_COLON = re.compile(_UNSAFE.pattern[:-1] + ":]")
_MAX_LENGTH = 200  # characters; longer identifiers are replaced by a digest
_DIGEST = "sha256="

Identifier = str | int

# Requests use the same keys repeatedly. `typed`: True is not an identifier, although it equals 1.
_remembered = lru_cache(maxsize=2000, typed=True)


def _key(kind: str) -> Callable[[Identifier], str]:
    return lambda identifier: f"{kind}:{_segment(identifier)}"


def kind_of(key: str) -> str:
    """The key without its identifier, which may be an e-mail address."""
    return key.rpartition(":")[0]


def identifier_in(key: str) -> str | None:
    """The identifier of a key; None for a digest, from which it does not follow."""
    identifier = key.rpartition(":")[2]
    return None if identifier.startswith(_DIGEST) else unquote(identifier)


def digest_of(key: str) -> str:
    """A name of the key for logs, which must not contain identifiers."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]


user = _key("user")
"""The cached user: a JSON object."""


def username_lookup(username: str) -> str:
    """The id of the user with this name, in any case."""
    return f"user:lookup:username:{_segment(username.lower())}"


def email_lookup(email: str) -> str:
    """The id of the user with this e-mail address, in any case."""
    return f"user:lookup:email:{_segment(email.lower())}"


def lease(key: str) -> str:
    """The lease of a value. In a Redis Cluster the braces put it in the slot of the value."""
    return f"lease:{{{key}}}"


def fence(key: str) -> str:
    """The writers that are about to change the value: a sorted set scored by their deadlines."""
    return f"fence:{{{key}}}"


tag = _key("cache:tag")
"""The generation of a tag: values that carry the tag begin with it."""

# The run id of the server that has received the latest invalidations. See RestartDetector.
CACHE_MARKER = "cache:marker"
SESSIONS_MARKER = "sessions:marker"

# Exists for a while after another server has taken over. See RestartDetector.
CACHE_CHANGED = "cache:changed"

# Exists for the time between two samples of the consistency monitor, which one process takes.
CACHE_AUDIT = "cache:audit"

# Deleted by each renewal of trust, as a write: a server that refuses writes must not be trusted.
CACHE_RENEWAL = "cache:renewal"

# Written by the probe: a server that refuses writes is not available.
PROBE = "pyportal:probe"

# The sessions that ended last: a stream. See EndedSessions.
ENDED_SESSIONS = "sessions:ended"

SESSION_PREFIX = "session:"


def session(session_id: str) -> str:
    """A session: a JSON document."""
    return SESSION_PREFIX + member_of_session_index(session_id)


def member_of_session_index(session_id: str) -> str:
    """A session in the index of its user: its key without the prefix."""
    return _segment(session_id)


def session_of_member(member: str) -> str:
    """The session id of a member of an index. A digest stays a digest."""
    return unquote(member)


user_sessions = _key("user:sessions")
"""The sessions of a user: a sorted set scored by their absolute timeouts."""

auth_epoch = _key("user:auth_epoch")
"""The user's auth epoch, kept as long as an older session or login may exist."""

booking = _key("booking")
"""The cached task: a JSON object. The name is a legacy."""

user_bookings = _key("user:bookings")
"""The tasks of a user: a JSON array."""

flight_availability = _key("flight:availability")
"""The number of available seats of a flight."""

notification = _key("notification")
"""The cached notification: a JSON object."""

notification_status = _key("notification:status")
"""The delivery status of a notification: JSON."""

user_notifications = _key("user:notifications")
"""The latest notifications of a user: a JSON array."""


job_hint = _key("jobs:hint")
"""The hint that jobs of a kind are due: a sorted set with one member, which a worker takes."""


@_remembered
def rate_limit(identifier: str, service: str | None = None) -> str:
    """The state of all limits on `identifier`: a hash with a field for each limit."""
    return rate_limits_prefix(service) + _bounded(_UNSAFE.sub(_percent_encode, _text(identifier)))


def rate_limits_prefix(service: str | None = None) -> str:
    """What the keys of all identifiers begin with."""
    return f"rate_limit:{service}:" if service else "rate_limit:"


def composed(kind: str, texts: tuple[str, ...], values: tuple[str, ...]) -> str:
    """A key of this kind whose identifier has several values, with fixed texts around them.

    Other values never make the same key: the first character of the text that follows a value is
    encoded in all of them. It must be one of SEPARATORS.
    """
    after = "".join(re.escape(text[0]) for text in texts[1:-1])
    unsafe = re.compile(_UNSAFE_OR_COLON.pattern[:-1] + after + "]")
    parts = (unsafe.sub(_percent_encode, value) for value in values)
    identifier = texts[0] + "".join(
        part + text for part, text in zip(parts, texts[1:], strict=True)
    )
    return f"{kind}:{_bounded(identifier)}"


SEPARATORS = "/,;|+=&!@~.-_"
"""What may separate the values of an identifier: neither of them can be part of a `%2F`."""


@_remembered
def _segment(identifier: Identifier) -> str:
    return _bounded(_UNSAFE_OR_COLON.sub(_percent_encode, _text(identifier)))


def _text(identifier: Identifier) -> str:
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise TypeError(f"an identifier is a str or an int, not {type(identifier).__name__}")
    if identifier == "":
        raise ValueError("an identifier must not be empty")
    return str(identifier)


def _percent_encode(match: re.Match[str]) -> str:
    octets = match.group().encode("utf-8", "surrogatepass")
    return "".join(f"%{octet:02X}" for octet in octets)


def _bounded(escaped: str) -> str:
    if len(escaped) <= _MAX_LENGTH:
        return escaped
    return _DIGEST + hashlib.sha256(escaped.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class KeyKind:
    """A kind of key: an example, its type, and in whose database it is.

    `service` is the only service that uses it, or None if all do.
    """

    example: str
    type: Literal["string", "hash", "zset", "stream"]
    database: Literal["caches", "sessions", "both"]
    service: str | None = None

    @property
    def pattern(self) -> str:
        """The glob that matches all keys of this kind, as in an ACL."""
        return self.example.replace(_EXAMPLE, "*")


_EXAMPLE = "example"

KINDS = (
    KeyKind(user(_EXAMPLE), "string", "caches", "usermanagement"),
    KeyKind(username_lookup(_EXAMPLE), "string", "caches", "usermanagement"),
    KeyKind(email_lookup(_EXAMPLE), "string", "caches", "usermanagement"),
    KeyKind(booking(_EXAMPLE), "string", "caches", "taskprocessing"),
    KeyKind(user_bookings(_EXAMPLE), "string", "caches", "taskprocessing"),
    KeyKind(flight_availability(_EXAMPLE), "string", "caches", "taskprocessing"),
    KeyKind(notification(_EXAMPLE), "string", "caches", "notification"),
    KeyKind(notification_status(_EXAMPLE), "string", "caches", "notification"),
    KeyKind(user_notifications(_EXAMPLE), "string", "caches", "notification"),
    KeyKind(lease(_EXAMPLE), "string", "caches"),
    KeyKind(fence(_EXAMPLE), "zset", "caches"),
    KeyKind(tag(_EXAMPLE), "string", "caches"),
    KeyKind(CACHE_MARKER, "string", "caches"),
    KeyKind(CACHE_CHANGED, "string", "caches"),
    KeyKind(CACHE_AUDIT, "string", "caches"),
    KeyKind(CACHE_RENEWAL, "string", "caches"),
    KeyKind(job_hint(_EXAMPLE), "zset", "caches"),
    KeyKind(SESSIONS_MARKER, "string", "sessions"),
    KeyKind(ENDED_SESSIONS, "stream", "sessions"),
    KeyKind(session(_EXAMPLE), "string", "sessions"),
    KeyKind(user_sessions(_EXAMPLE), "zset", "sessions"),
    KeyKind(auth_epoch(_EXAMPLE), "string", "sessions"),
    KeyKind(rate_limit(_EXAMPLE), "hash", "sessions"),
    KeyKind(PROBE, "string", "both"),
)
"""Every kind of key."""


_CHECKED_LIMITS = {"usermanagement": ("register", "user")}
"""What the keys of a helper's `check_rate_limit(key)` begin with, as in `user:7`."""


def kinds_in(database: Literal["caches", "sessions"], service: str) -> list[KeyKind]:
    """The kinds of keys that a service has in this database."""
    return [
        narrowed
        for kind in KINDS
        if kind.database in {database, "both"} and kind.service in {None, service}
        for narrowed in _of_service(kind, service)
    ]


def _of_service(kind: KeyKind, service: str) -> Iterator[KeyKind]:
    """The kind, or if it is that of rate limits those of this service."""
    if kind.example != rate_limit(_EXAMPLE):
        yield kind
        return
    for name in (service, *_CHECKED_LIMITS.get(service, ())):
        yield replace(kind, example=rate_limit(_EXAMPLE, name))
