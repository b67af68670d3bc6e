"""The errors of user management."""

from collections.abc import Sequence

from common.pyportal_common.cache_handlers import Decision


class UserAlreadyExists(Exception):
    """The username, the e-mail address or both are taken. `fields` has the names of those."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(" and ".join(fields))
        self.fields = tuple(fields)


class EmailTaken(UserAlreadyExists):
    """Another user has the e-mail address that a user is changed to."""


class UserNotFound(Exception):
    """There is no such user."""


class WeakPassword(Exception):
    """A new password is too easy to guess. The message is for the user."""


class WrongPassword(Exception):
    """The password that should confirm a change is wrong."""


class InvalidCredentials(Exception):
    """No user has that name and that password. It is not disclosed which of the two is wrong."""


class LimitReached(Exception):
    """A limit is reached. `decision` has the time to wait."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.rate_limit)
        self.decision = decision


class NameLocked(LimitReached):
    """There were too many failed logins for a name."""


class TooManyEmailChanges(Exception):
    """The user's e-mail address was changed too often."""

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision


class TooManyResetRequests(LimitReached):
    """Too many reset links were requested for an e-mail address."""


class LinkInvalid(Exception):
    """A link is wrong, used or expired, or was mailed to an address that has changed since."""


class AlreadyVerified(Exception):
    """The user's e-mail address is already verified."""


class PasswordHashingBusy(Exception):
    """Too many passwords are being hashed at once."""


class SecondFactorRefused(Exception):
    """The proof of a second factor is missing, wrong or used. It is not disclosed which of them."""


class CodeWrong(Exception):
    """The code that should confirm an authenticator app is wrong or old."""


class NothingToConfirm(Exception):
    """No authenticator app was begun, or that was too long ago."""


class PasskeyInvalid(Exception):
    """The answer of a browser does not register a passkey."""


class PasskeyAlreadyRegistered(Exception):
    """The passkey is registered, perhaps by another user."""


class TooManyPasskeys(Exception):
    """The user has as many passkeys as a user may have."""


class FactorNotFound(Exception):
    """The user has no such factor."""


class NoSecondFactor(Exception):
    """The user has no second factor."""


class AppsUnavailable(Exception):
    """Authenticator apps cannot be added, because the portal has no key for their seeds."""
