"""The service's own errors, and the responses to them."""

from enum import unique

from common.pyportal_common.web import (
    CommonProblem,
    Detail,
    Problem,
    ProblemTable,
    ProblemType,
    RateLimitExceeded,
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


@unique
class UserProblem(ProblemType):
    """The kinds of errors of this service."""

    LINK_INVALID = (
        400,
        "The link is no longer valid",
        "The token of an e-mail is wrong, used or expired. Request a new e-mail.",
    )
    INVALID_CREDENTIALS = (
        401,
        "Wrong username, e-mail address or password",
        "Which of them is wrong is not said, so that nobody can find out who has an account.",
    )
    WRONG_PASSWORD = (
        403,
        "The password is wrong or missing",
        "The user is logged in, but this needs the password once more.",
    )
    USER_ALREADY_EXISTS = (
        409,
        "User already exists",
        "Another user has this username or e-mail address, or both: the details name the fields.",
    )
    EMAIL_TAKEN = (
        409,
        "The e-mail address is already taken",
        "Another user has this e-mail address.",
    )
    ALREADY_VERIFIED = (
        409,
        "The e-mail address is already verified",
        "There is nothing to verify.",
    )
    NAME_LOCKED = (
        429,
        "Too many failed logins: this name is temporarily locked",
        "Wrong passwords were given for this name too often. Retry-After says when the next "
        "attempt is allowed.",
    )


PROBLEMS: ProblemTable = {
    UserAlreadyExists: lambda error: Problem(
        UserProblem.USER_ALREADY_EXISTS, [Detail(field, "Already taken") for field in error.fields]
    ),
    EmailTaken: Problem(UserProblem.EMAIL_TAKEN, [Detail("email", "Already taken")]),
    UserNotFound: Problem(CommonProblem.NOT_FOUND),
    WrongPassword: Problem(UserProblem.WRONG_PASSWORD),
    WeakPassword: lambda error: Problem(
        CommonProblem.VALIDATION_FAILED, [Detail("newPassword", str(error))]
    ),
    InvalidCredentials: Problem(UserProblem.INVALID_CREDENTIALS),
    NameLocked: lambda error: RateLimitExceeded(error.decision, UserProblem.NAME_LOCKED),
    TooManyEmailChanges: lambda error: RateLimitExceeded(error.decision),
    TooManyResetRequests: lambda error: RateLimitExceeded(error.decision),
    PasswordHashingBusy: Problem(CommonProblem.TOO_BUSY, headers={"Retry-After": "2"}),
    LinkInvalid: Problem(UserProblem.LINK_INVALID, [Detail("token", "Wrong, used or expired")]),
    AlreadyVerified: Problem(UserProblem.ALREADY_VERIFIED),
}
