"""A client of User Management."""

from dataclasses import dataclass

from common.pyportal_common.jobs.outbox import OutboxSettings
from common.pyportal_common.outbound import RequestFailed, request
from common.pyportal_common.settings import SERVICE_TOKEN_HEADER

from .errors import UsersUnreachable

_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class User:
    """The part of a user that this service needs."""

    email: str
    email_verified: bool


class Users:
    """The users, by requests to User Management."""

    def __init__(self, settings: OutboxSettings) -> None:
        self._url = settings.usermanagement_url
        self._token = settings.service_token

    def find(self, user_id: int) -> User | None:
        """The user, or None if there is no such user. Raises UsersUnreachable."""
        try:
            response = request(
                "GET",
                f"{self._url}/api/v1/airliner/users/{user_id}",
                headers={SERVICE_TOKEN_HEADER: self._token.get_secret_value()},
                timeout_seconds=_TIMEOUT_SECONDS,
            )
            if response.status == 404:
                return None
            if response.status != 200:
                raise UsersUnreachable(f"User Management answered {response.status}")
            user = response.json()["user"]
            return User(user["email"], user["emailVerified"])
        except (RequestFailed, ValueError, KeyError, TypeError) as error:
            raise UsersUnreachable(f"User Management cannot be reached: {error}") from error
