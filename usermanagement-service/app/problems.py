"""The HTTP responses to the service's own errors."""

from common.pyportal_common.web import (
    Detail,
    Problem,
    ProblemTable,
    RateLimitExceeded,
    unauthorized,
)

from .errors import (
    AlreadyVerified,
    EmailTaken,
    InvalidCredentials,
    LinkInvalid,
    NameLocked,
    PasswordHashingBusy,
    TooManyEmailChanges,
    TooManyResetRequests,
    UserAlreadyExists,
    UserNotFound,
    WeakPassword,
    WrongPassword,
)

PROBLEMS: ProblemTable = {
    UserAlreadyExists: lambda error: Problem(
        409, "User already exists", [Detail(field, "Already taken") for field in error.fields]
    ),
    EmailTaken: Problem(
        409, "The e-mail address is already taken", [Detail("email", "Already taken")]
    ),
    UserNotFound: Problem(404, "Not Found"),
    WrongPassword: Problem(403, "The password is wrong or missing"),
    WeakPassword: lambda error: Problem(
        422, "Validation failed", [Detail("newPassword", str(error))]
    ),
    InvalidCredentials: unauthorized("Wrong username, e-mail address or password"),
    NameLocked: lambda error: RateLimitExceeded(
        error.decision, "Too many failed logins: this name is temporarily locked"
    ),
    TooManyEmailChanges: lambda error: RateLimitExceeded(error.decision),
    TooManyResetRequests: lambda error: RateLimitExceeded(error.decision),
    PasswordHashingBusy: Problem(503, "Too busy, try again", headers={"Retry-After": "2"}),
    LinkInvalid: Problem(
        400, "The link is no longer valid", [Detail("token", "Wrong, used or expired")]
    ),
    AlreadyVerified: Problem(409, "The e-mail address is already verified"),
}
