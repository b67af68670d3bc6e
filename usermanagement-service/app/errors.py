"""What can go wrong in user management, in its own words."""

from collections.abc import Sequence


class UserAlreadyExists(Exception):
    """Somebody has that username or e-mail address. `fields` says which."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(" and ".join(fields))
        self.fields = tuple(fields)


class PasswordHashingBusy(Exception):
    """Too many passwords are being hashed at once."""
