"""Request and response bodies of the session routes. Fields of sessions are snake_case."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from common.pyportal_common.cache_handlers import Session
from common.pyportal_common.fields import Flag, normalized_email
from common.pyportal_common.web import Page, PageQuery, PageSize, Schema, View, otherwise

from ..factors.fields import ONE_PROOF, Proof
from ..fields import CurrentPassword, LoginName
from ..users.schemas import UserView
from .devices import UNKNOWN_DEVICE, UNKNOWN_NETWORK

_WholeSeconds = Annotated[int, BeforeValidator(int)]


class UsernameAndPassword(Proof):
    """Credentials of a user who has given the username."""

    model_config = ConfigDict(
        json_schema_extra={
            **ONE_PROOF,
            "examples": [{"username": "john_doe", "password": "correct-horse-battery"}],
        }
    )

    username: LoginName
    password: CurrentPassword


class EmailAndPassword(Proof):
    """Credentials of a user who has given the e-mail address."""

    email: LoginName
    password: CurrentPassword


class Credentials(Proof):
    """The body of POST /login: a password, and a username or an e-mail address.

    Users with a second factor send a `code` or a `passkey` as well.
    """

    described_as = (UsernameAndPassword, EmailAndPassword)

    username: LoginName = ""
    email: LoginName = ""
    password: CurrentPassword

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if bool(self.username) == bool(self.email):
            raise PydanticCustomError("one_name", "Must contain either username or email")
        return self

    @property
    def name(self) -> str:
        """The username or e-mail address, as its key in SQL."""
        if not self.email:
            return self.username.lower()
        try:
            return normalized_email(self.email).lower()
        except PydanticCustomError:  # not an address: no user has it
            return self.email.lower()


class Reauthentication(Proof):
    """The body of POST /session/reauthenticate: as for a login."""

    password: CurrentPassword


class SessionEnding(Schema):
    """The query of DELETE /sessions."""

    all: Flag = Field(False, description="End the current session too.")


class SessionExpiry(View, alias_generator=None):
    """The remaining idle time of a session."""

    expires_in: _WholeSeconds = Field(
        validation_alias="ttl_seconds", description="Seconds until it ends without use."
    )


class RenewedSession(SessionExpiry):
    """A session under its new id."""

    session_id: str


class LoggedIn(RenewedSession):
    """A new session and its user."""

    user: UserView

    @classmethod
    def of(cls, session: Session, user: UserView) -> Self:
        """The new session of `user`."""
        return cls(session_id=session.session_id, expires_in=int(session.ttl_seconds), user=user)


class SessionView(SessionExpiry):
    """A session as every service sees it."""

    user_id: int | str
    user_data: dict[str, Any]
    created_at: datetime
    auth_at: datetime
    expires_at: datetime
    amr: list[str] = Field(
        description="How the user has authenticated, as in RFC 8176; with mfa for two factors."
    )
    factors: dict[str, datetime] = Field(description="When each factor was proven.")


class ListedSession(View, alias_generator=None):
    """A session in a user's list."""

    id: str
    created_at: datetime
    auth_at: datetime
    expires_at: datetime
    device: str = Field(
        description="The browser or program, and the system.", examples=["Firefox on Linux"]
    )
    network: str = Field(
        description="Where the login came from: the /24 of IPv4 addresses, or the /48 of IPv6.",
        examples=["192.0.2.0/24"],
    )
    last_used_at: datetime | None = Field(
        description="The minute of the last use. Null if another app has set the time to live."
    )
    current: bool = Field(description="Whether this is the session of the request.")

    @classmethod
    def of(cls, session: Session, current: Session) -> Self:
        """The session without its id, which is a secret."""
        used_at = session.last_used_at
        return cls(
            id=session.public_id,
            created_at=session.created_at,
            auth_at=session.auth_at,
            expires_at=session.expires_at,
            device=session.origin.get("device", UNKNOWN_DEVICE),
            network=session.origin.get("network", UNKNOWN_NETWORK),
            last_used_at=used_at.replace(second=0, microsecond=0) if used_at else None,
            current=session.session_id == current.session_id,
        )


class SessionSearch(PageQuery):
    """The query of the lists of sessions. A cursor is a place, whose session may have ended."""

    cursor: (
        Annotated[
            str,
            StringConstraints(pattern="^[0-9]{15}-[0-9a-f]{16}$"),
            otherwise("Must be the `next` of the previous page"),
        ]
        | None
    ) = Field(None, description="The `next` of the previous page.")
    limit: PageSize = 100


class SessionList(Page[ListedSession]):
    """A page of a user's sessions, ordered by their absolute timeout."""

    @classmethod
    def of(cls, sessions: Iterable[Session], search: SessionSearch, current: Session) -> Self:
        """The page of all the user's sessions that begins at the cursor."""
        places = {_place(each): each for each in sessions}
        found = [place for place in sorted(places) if place > (search.cursor or "")]
        shown = found[: search.limit]
        return cls(
            items=[ListedSession.of(places[place], current) for place in shown],
            next=shown[-1] if len(shown) < len(found) else None,
        )


def _place(session: Session) -> str:
    """The place in the list, as a text that sorts like it."""
    return f"{session.expires_at.timestamp() * 1000:015.0f}-{session.public_id}"
