"""The kinds of errors: their codes, which clients may rely on, and what the client can do."""

from collections.abc import Iterable
from enum import Enum, unique


class ProblemType(Enum):
    """A kind of error. A service lists its own as the members of a subclass.

    A member is a status, the text of the error, and what it means for the client. Its name becomes
    the `code` of the response: `BODY_TOO_LONG` is `body-too-long`.
    """

    def __init__(self, status: int, text: str, meaning: str) -> None:
        self.status = status
        self.text = text
        self.meaning = meaning

    @property
    def code(self) -> str:
        """Identifies this kind of error. It never changes."""
        return self.name.lower().replace("_", "-")

    @property
    def uri(self) -> str:
        """The `type` of RFC 9457: where the service describes this kind of error."""
        return f"/problems/{self.code}"


def by_status(kinds: Iterable[ProblemType]) -> list[ProblemType]:
    """The kinds in the order in which pages show them."""
    return sorted(kinds, key=lambda kind: (kind.status, kind.code))


@unique
class CommonProblem(ProblemType):
    """The errors that every service can respond with."""

    BAD_REQUEST = (
        400,
        "Bad Request",
        "HTTP does not allow this request, or the service does not support it. "
        "The status may be another one than 400, and says more.",
    )
    MALFORMED_BODY = (
        400,
        "Malformed body",
        "The body could not be read as JSON in UTF-8, or ended early. The details say where.",
    )
    MALFORMED_HEADER = (
        400,
        "Malformed header",
        "A header has another form than documented. The details name the header and its form.",
    )
    DIFFERENT_SESSIONS = (
        400,
        "The cookies and the bearer token name different sessions: send one",
        "The request belongs to two sessions. Send either the cookie or the Authorization header.",
    )
    LOGIN_REQUIRED = (
        401,
        "Log in first",
        "The request has no session, or one that has ended. Log in, and repeat the request.",
    )
    SESSION_ENDED = (
        401,
        "Log in again",
        "The session ended while the request was in progress. Log in, and repeat the request.",
    )
    FRESH_LOGIN_REQUIRED = (
        401,
        "This requires a recent login: authenticate again",
        "The session is valid, but the user has not given the password recently enough for this. "
        "Ask for it, send it to POST /session/reauthenticate of User Management, and repeat the "
        "request. WWW-Authenticate says how recent the login must be (RFC 9470).",
    )
    SERVICE_TOKEN_INVALID = (
        401,
        "The service token is not valid",
        "The request has the header of a service with a token that is not configured here.",
    )
    SERVICES_ONLY = (
        401,
        "Only other services may call this, with a service token",
        "Users cannot call this. Services send a token of the setting SERVICE_TOKENS.",
    )
    NOT_ALLOWED = (
        403,
        "Not allowed",
        "This user may not do this. Another one may, such as the owner or an admin.",
    )
    CROSS_SITE_REQUEST = (
        403,
        "Cross-site request refused",
        "A page of another origin sent the request with the user's cookie. Allow the origin by the "
        "setting CORS_ORIGINS, or send the session in the Authorization header.",
    )
    FOREIGN_SESSION = (
        403,
        "The session does not belong to a user of this portal",
        "The session was not created by logging in to User Management.",
    )
    NOT_FOUND = (
        404,
        "Not Found",
        "There is nothing under this path, or this user may not see it.",
    )
    METHOD_NOT_ALLOWED = (
        405,
        "Method Not Allowed",
        "This path has other methods: see the header Allow.",
    )
    SESSION_CHANGED = (
        409,
        "The session has changed, try again",
        "Another request of the same session changed it at the same time. Repeat the request.",
    )
    REQUEST_IN_PROGRESS = (
        409,
        "The request is still being processed, try again",
        "An earlier request with this Idempotency-Key has not ended yet. Repeat the request after "
        "the seconds in Retry-After, with the same key.",
    )
    PRECONDITION_FAILED = (
        412,
        "Precondition Failed",
        "The header If-Match or If-Unmodified-Since excludes the current state. Read it again.",
    )
    BODY_TOO_LONG = (413, "The body is too long", "The details say how many bytes are allowed.")
    UNSUPPORTED_MEDIA_TYPE = (
        415,
        "The body must be JSON in UTF-8: send Content-Type: application/json",
        "The header Content-Type is missing, or names another type or charset.",
    )
    COMPRESSED_BODY = (
        415,
        "The body must not be compressed",
        "The header Content-Encoding names a compression. Send the body as it is.",
    )
    VALIDATION_FAILED = (
        422,
        "Validation failed",
        "The details name each field that is wrong by its path, such as items.0.name, and say what "
        "is expected. Nothing was stored.",
    )
    IDEMPOTENCY_KEY_REUSED = (
        422,
        "Idempotency key reused",
        "The key was sent with another request before. Use a new key for each request.",
    )
    RATE_LIMIT_EXCEEDED = (
        429,
        "Rate limit exceeded",
        "There were too many requests. Retry-After says when the next one is allowed.",
    )
    INTERNAL_ERROR = (
        500,
        "Internal error",
        "This is a mistake in the service. Its log has the cause under the request_id.",
    )
    TOO_BUSY = (
        503,
        "Too busy, try again",
        "The service has no capacity left at the moment. Repeat the request after the seconds in "
        "Retry-After.",
    )
    UNAVAILABLE = (
        503,
        "Temporarily unavailable, try again",
        "Something that the service needs does not respond. Repeat the request after the seconds "
        "in Retry-After, with the same Idempotency-Key if it has one.",
    )
