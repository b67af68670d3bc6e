"""Users, as User Management tells of them over HTTP."""

from dataclasses import dataclass

from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.outbound import RequestFailed, request
from common.pyportal_common.settings import SERVICE_TOKEN_HEADER

from .errors import UsersUnreachable

_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class User:
    """What is needed of one."""

    email: str
    email_verified: bool


class Users:
    """Asks User Management, in the name of this service."""

    def __init__(self, settings: OutboxSettings) -> None:
        self._settings = settings

    def find(self, user_id: int) -> User | None:
        """A user, or None if there is none. Raises UsersUnreachable."""
        try:
            answer = request(
                "GET",
                f"{self._settings.usermanagement_url}/api/v1/airliner/users/{user_id}",
                headers={SERVICE_TOKEN_HEADER: self._settings.service_token.get_secret_value()},
                timeout_seconds=_TIMEOUT,
            )
            if answer.status == 404:
                return None
            if answer.status != 200:
                raise UsersUnreachable(f"User Management answered {answer.status}")
            user = answer.json()["user"]
            return User(user["email"], user["emailVerified"])
        except (RequestFailed, ValueError, KeyError, TypeError) as error:
            raise UsersUnreachable(f"User Management cannot be asked: {error}") from error
