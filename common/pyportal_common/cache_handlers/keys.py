"""Every key that the services keep in Redis, in one place.

A key is what kind of thing it holds, a colon, and one identifier at the end. What stands before the
last colon names the kind in metrics and logs, so no identifier may be in it.

Identifiers come from clients. A character that would give a key another meaning is written as
in a URL: braces (they choose the Cluster slot), blanks and controls (they break tools and logs),
the percent sign itself, and in all but rate limits the colon (user "bookings:7" must not be the
key of user 7's bookings).
"""

import hashlib
import re
from urllib.parse import unquote

_UNSAFE = re.compile(
    r"[%{}\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff]"
)
_UNSAFE_OR_COLON = re.compile(_UNSAFE.pattern[:-1] + ":]")
_LONGEST = 200  # characters; longer identifiers give way to their digest

Identifier = str | int


def user(user_id: Identifier) -> str:
    """The cached user: a JSON object."""
    return f"user:{_segment(user_id)}"


def username_lookup(username: str) -> str:
    """The id of the user of that name, in whatever case it is written."""
    return f"user:lookup:username:{_segment(username.lower())}"


def email_lookup(email: str) -> str:
    """The id of the user with that e-mail address, in whatever case it is written."""
    return f"user:lookup:email:{_segment(email.lower())}"


def lease(key: str) -> str:
    """Who may fill the value. The braces put it where the value is, in a Cluster."""
    return f"lease:{{{key}}}"


def fence(key: str) -> str:
    """The writers that are about to change the value: a sorted set, scored by their deadlines."""
    return f"fence:{{{key}}}"


# The run id of the server that was told of the last invalidations. See RestartDetector.
CACHE_MARKER = "cache:marker"
SESSIONS_MARKER = "sessions:marker"

SESSION_PREFIX = "session:"


def session(session_id: str) -> str:
    """A session: a JSON document."""
    return SESSION_PREFIX + member_of_session_index(session_id)


def member_of_session_index(session_id: str) -> str:
    """How the index of a user's sessions names one: its key without the prefix."""
    return _segment(session_id)


def session_of_member(member: str) -> str:
    """The id of the session that an index names so. What was digested stays a digest."""
    return unquote(member)


def user_sessions(user_id: Identifier) -> str:
    """The sessions of a user: a sorted set, scored by the absolute end of each."""
    return f"user:sessions:{_segment(user_id)}"


def auth_epoch(user_id: Identifier) -> str:
    """The user's auth epoch, for as long as an older session or login could be alive."""
    return f"user:auth_epoch:{_segment(user_id)}"


def booking(task_id: Identifier) -> str:
    """The cached task: a JSON object. Tasks were bookings once."""
    return f"booking:{_segment(task_id)}"


def user_bookings(user_id: Identifier) -> str:
    """The tasks of a user: a JSON array."""
    return f"user:bookings:{_segment(user_id)}"


def flight_availability(flight_id: Identifier) -> str:
    """How many seats are left on a flight: a number."""
    return f"flight:availability:{_segment(flight_id)}"


def notification(notification_id: Identifier) -> str:
    """The cached notification: a JSON object."""
    return f"notification:{_segment(notification_id)}"


def notification_status(notification_id: Identifier) -> str:
    """How far the delivery of a notification has come: JSON."""
    return f"notification:status:{_segment(notification_id)}"


def user_notifications(user_id: Identifier) -> str:
    """The newest notifications of a user: a JSON array."""
    return f"user:notifications:{_segment(user_id)}"


def rate_limit(identifier: str, service: str | None = None) -> str:
    """The state of every limit on `identifier`: a hash, a field a policy."""
    escaped = _bounded(_UNSAFE.sub(_percent_encode, _text(identifier)))
    return f"rate_limit:{service}:{escaped}" if service else f"rate_limit:{escaped}"


def idempotency(service: str, scope: str, key: str) -> str:
    """What became of the request with a client's idempotency key: a hash.

    The key is in it as a digest only: it is what the fingerprint in there is keyed by.
    """
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"idempotency:{service}:{_segment(scope)}:{digest}"


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
    if len(escaped) <= _LONGEST:
        return escaped
    return "sha256=" + hashlib.sha256(escaped.encode()).hexdigest()
