"""Logging in, and listing and ending sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select, update

from common.pyportal_common.cache_handlers import (
    Revocation,
    Session,
    SessionRevoked,
    SessionStore,
)
from common.pyportal_common.db import Database, Transaction, revoke_sessions

from ..errors import InvalidCredentials, SecondFactorRefused
from ..factors.proofs import FactorProofs, Held
from ..models import DELETED_EPOCH, User
from ..passwords.hashing import Hasher
from ..passwords.limits import PasswordLimits
from ..users.schemas import UserView
from .networks import LoginNetworks
from .schemas import Credentials


@dataclass(frozen=True, slots=True)
class Login:
    """A new session and its user."""

    session: Session
    user: UserView


class Sessions:
    """The login sessions of users."""

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        limits: PasswordLimits,
        store: SessionStore,
        networks: LoginNetworks,
        factor_proofs: FactorProofs,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._limits = limits
        self._store = store
        self._networks = networks
        self._factor_proofs = factor_proofs

    def log_in(self, credentials: Credentials, network: str, origin: Mapping[str, str]) -> Login:
        """Start a session. The user is notified if they have never logged in from `network`.

        The user's list of sessions shows the `origin`. Raises InvalidCredentials, after the same
        work whether or not the user exists, whatever is wrong or missing; and NameLocked for a name
        with too many failures, whichever clients they came from. Raises PasswordHashingBusy and
        RedisUnavailable. Three round trips to Redis, and one more for a notification; two more for
        a code of an authenticator app.
        """
        with self._limits.counting_failures(credentials.name):
            user, factors = self._authenticated(credentials)
            user_data = {"username": user.username, "role": user.role}
            try:
                session = self._store.create(
                    user.id,
                    user_data,
                    auth_epoch=user.auth_epoch,
                    origin=origin,
                    factors=factors,
                )
            except SessionRevoked:  # the password was changed during the comparison
                raise InvalidCredentials from None
        self._networks.record(user.id, network)
        return Login(session, UserView.model_validate(user))

    def list(self, user_id: int | str) -> Sequence[Session]:
        """The user's sessions."""
        return self._store.list(user_id)

    def find(self, user_id: int | str, public_id: str) -> Session | None:
        """The user's session with this public id, or None. Two round trips."""
        sessions = self._store.list(user_id)
        return next((each for each in sessions if each.public_id == public_id), None)

    def end(self, session_id: str) -> bool:
        """End a session in all services at once. Whether there was one. Two round trips."""
        return self._store.revoke(session_id)

    def end_all(self, user_id: int, *, spare: str | None = None) -> None:
        """End all sessions of a user except the one with the id `spare`, and any login in progress.

        Raises RedisUnavailable.
        """
        with self._database.begin() as tx:
            epoch = self.raise_epoch(tx, user_id)
            revoke_sessions(tx, Revocation.of(user_id, epoch, spare))

    def raise_epoch(self, tx: Transaction, user_id: int) -> int:
        """Raise the user's auth epoch, and return the new one. Revoke older sessions by it."""
        epoch = tx.scalar(
            update(User)
            .where(User.id == user_id)
            .values(auth_epoch=User.auth_epoch + 1)
            .returning(User.auth_epoch),
            execution_options={"cache_keys": ()},  # no cached value contains the epoch
        )
        return DELETED_EPOCH if epoch is None else epoch

    def _authenticated(self, credentials: Credentials) -> tuple[User, Sequence[str]]:
        """The user, and the factors that were proven.

        What the second factor proves is found out before the password is compared, and used up
        after it, so neither an answer nor its time tells which of them was wrong.
        """
        challenge = self._factor_proofs.open(credentials)
        user, held = self._find(credentials.name)
        verdict = self._factor_proofs.examine(user, held, credentials, challenge)
        password_hash = user.password_hash if user is not None else None
        right = self._hasher.verify(password_hash, credentials.password.get_secret_value())
        if user is None or not right:
            raise InvalidCredentials
        try:
            return user, self._factor_proofs.accept(user, verdict)
        except SecondFactorRefused:
            raise InvalidCredentials from None

    def _find(self, name: str) -> tuple[User | None, Held]:
        with self._database.read() as tx:
            user = tx.scalar(
                select(User).where(or_(User.username_key == name, User.email_key == name))
            )
            return user, Held() if user is None else Held.by(tx, user.id)
