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
    AppsUnavailable,
    CodeWrong,
    EmailTaken,
    FactorNotFound,
    InvalidCredentials,
    LinkInvalid,
    NameLocked,
    NoSecondFactor,
    NothingToConfirm,
    PasskeyAlreadyRegistered,
    PasskeyInvalid,
    PasswordHashingBusy,
    TooManyEmailChanges,
    TooManyPasskeys,
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
        "Wrong username, e-mail address, password or second factor",
        "Which of them is wrong or missing is not said, so that nobody can find out who has an "
        "account, and nobody who guesses a password learns that it is right.",
    )
    WRONG_PASSWORD = (
        403,
        "The password or the second factor is wrong or missing",
        "The user is logged in, but this needs the password once more, and a second factor if the "
        "user has one.",
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
    APPS_UNAVAILABLE = (
        409,
        "Authenticator apps are not available",
        "This portal has no key for their secrets: an operator sets FACTOR_KEYS. Passkeys work "
        "without it.",
    )
    NOTHING_TO_CONFIRM = (
        409,
        "There is no authenticator app to confirm",
        "None was begun in the last 15 minutes: begin again.",
    )
    PASSKEY_REGISTERED = (
        409,
        "The passkey is already registered",
        "This passkey is one of this user or of another one.",
    )
    TOO_MANY_PASSKEYS = (409, "There are too many passkeys", "Remove one of the ten first.")
    NO_SECOND_FACTOR = (
        409,
        "The user has no second factor",
        "This is only for users with an authenticator app or a passkey.",
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
    CodeWrong: Problem(CommonProblem.VALIDATION_FAILED, [Detail("code", "Wrong or too old")]),
    PasskeyInvalid: Problem(
        CommonProblem.VALIDATION_FAILED, [Detail("credential", "Invalid, used or too old")]
    ),
    FactorNotFound: Problem(CommonProblem.NOT_FOUND),
    AppsUnavailable: Problem(UserProblem.APPS_UNAVAILABLE),
    NothingToConfirm: Problem(UserProblem.NOTHING_TO_CONFIRM),
    PasskeyAlreadyRegistered: Problem(UserProblem.PASSKEY_REGISTERED),
    TooManyPasskeys: Problem(UserProblem.TOO_MANY_PASSKEYS),
    NoSecondFactor: Problem(UserProblem.NO_SECOND_FACTOR),
    LinkInvalid: Problem(UserProblem.LINK_INVALID, [Detail("token", "Wrong, used or expired")]),
    AlreadyVerified: Problem(UserProblem.ALREADY_VERIFIED),
}
