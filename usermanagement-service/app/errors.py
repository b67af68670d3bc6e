"""What can go wrong in user management, in its own words."""

from collections.abc import Sequence

from common.pyportal_common.cache_handlers import Decision


class UserAlreadyExists(Exception):
    """Somebody has that username or e-mail address. `fields` says which."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(" and ".join(fields))
        self.fields = tuple(fields)


class UserNotFound(Exception):
    """There is no such user."""


class WeakPassword(Exception):
    """A new password is too easy to guess. The message says why, for people."""


class WrongPassword(Exception):
    """The password that confirms a change is not the user's."""


class InvalidCredentials(Exception):
    """There is no user of that name with that password. Which of the two is wrong stays untold."""


class TooManyFailures(Exception):
    """A name failed to log in too often. `decision` says until when it is locked."""

    def __init__(self, decision: Decision) -> None:
        super().__init__("too many failed logins")
        self.decision = decision


class LinkInvalid(Exception):
    """A link does not work: it is wrong, used, expired, or of an address that was changed since."""


class AlreadyVerified(Exception):
    """The user's address is verified: there is nothing to send a link for."""


class PasswordHashingBusy(Exception):
    """Too many passwords are being hashed at once."""
