"""Changing and resetting passwords."""

from contextlib import suppress
from datetime import UTC, datetime

from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from common.pyportal_common.cache_handlers import (
    RedisUnavailable,
    Revocation,
    Session,
    SessionStore,
)
from common.pyportal_common.db import (
    Database,
    TooManyWaitingWriters,
    Transaction,
    revoke_sessions,
    violated_columns,
)

from ..email_links import tokens
from ..errors import (
    EmailTaken,
    LinkInvalid,
    SecondFactorRefused,
    UserNotFound,
    WeakPassword,
    WrongPassword,
)
from ..factors.fields import Proof
from ..factors.proofs import PASSWORD, FactorProofs
from ..models import Message, User, UserToken
from ..outbox import Outbox
from .hashing import Hasher, normalized, personal_words, weakness
from .limits import PasswordLimits
from .schemas import PasswordChange, PasswordReset


class Passwords:
    """Confirms, changes and resets passwords."""

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        limits: PasswordLimits,
        session_store: SessionStore,
        outbox: Outbox,
        factor_proofs: FactorProofs,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._factor_proofs = factor_proofs
        self._limits = limits
        self._session_store = session_store
        self._outbox = outbox

    def hash(self, password: SecretStr) -> str:
        """The hash of a new password. Raises PasswordHashingBusy."""
        return self._hasher.hash(password.get_secret_value())

    def confirm(self, user_id: int, password: SecretStr) -> int:
        """Check the user's password, and return the auth epoch that it was right in.

        A wrong one counts as a failed login. Raises UserNotFound, WrongPassword, NameLocked and
        PasswordHashingBusy.
        """
        user = self._find(user_id)
        with self._limits.counting_failures(user.username):
            if not self._is_right(user, password):
                raise WrongPassword
        return user.auth_epoch

    def reauthenticate(
        self, session: Session, user_id: int, password: SecretStr, proof: Proof
    ) -> Session:
        """Continue the session of a user who proves all factors, under a new id and as fresh.

        Of concurrent calls with one session, one succeeds. A wrong proof of the second factor is
        like a wrong password. Raises what `confirm` and `SessionStore.rotate` raise. Four round
        trips, and two more for a code of an authenticator app.
        """
        challenge = self._factor_proofs.open(proof)
        user = self._find(user_id)
        with self._limits.counting_failures(user.username):
            held = self._factor_proofs.held(user_id)
            verdict = self._factor_proofs.examine(user, held, proof, challenge)
            if not self._is_right(user, password):
                raise WrongPassword
            try:
                factors = self._factor_proofs.accept(user, verdict)
            except SecondFactorRefused:
                raise WrongPassword from None
        return self._session_store.rotate(session, factors=dict.fromkeys(factors))

    def is_right(self, user_id: int, password: SecretStr) -> bool:
        """Whether that is the user's password. False for a user who does not exist.

        A wrong one counts as a failed login, unless Redis is unavailable. Raises NameLocked and
        PasswordHashingBusy.
        """
        try:
            with suppress(RedisUnavailable):
                self.confirm(user_id, password)
                return True
            return self._is_right(self._find(user_id), password)
        except (UserNotFound, WrongPassword):
            return False

    def change(self, change: PasswordChange, session: Session, user_id: int) -> Session:
        """Set a new password, end the user's other sessions, and return this one under a new id.

        A wrong current password counts as a failed login. Raises UserNotFound, WrongPassword,
        WeakPassword, NameLocked, PasswordHashingBusy and RedisUnavailable. After RedisUnavailable
        the request may be repeated; the other sessions have ended when it succeeds.
        """
        user = self._find(user_id)
        with self._limits.counting_failures(user.username):
            if self._is_right(user, change.current_password):
                epoch = self._replace(user, change.new_password, spare=session.session_id)
            elif self._is_right(user, change.new_password):
                # A repetition, after a 503: the password is set, but other sessions may be live.
                epoch = user.auth_epoch
                self._session_store.revoke_all(user.id, auth_epoch=epoch, spare=session.session_id)
            else:
                raise WrongPassword
        factors = {**session.factors, PASSWORD: None}
        return self._session_store.rotate(session, auth_epoch=epoch, factors=factors)

    def request_reset(self, email: str) -> None:
        """Request a reset link for the user with this address, if there is one.

        A worker looks the user up. The work done here is the same either way, and takes the same
        time. Raises TooManyResetRequests.
        """
        self._limits.count_reset_request(email)
        with self._database.begin(changes_cached=False) as tx:
            message = self._outbox.password_forgotten(tx, email)
        self._outbox.send(message)

    def reset(self, reset: PasswordReset) -> None:
        """Set a new password with the token of a reset link, and end all sessions of the user.

        Raises LinkInvalid, WeakPassword, PasswordHashingBusy and TooManyWaitingWriters, which leave
        the link unused. So does another RedisUnavailable, although the password is set by then: the
        sessions end when Redis is back, and repeating the request confirms that they have.
        """
        self._use_link(reset, "reset")

    def undo_email_change(self, undo: PasswordReset) -> None:
        """Restore the address that the link was mailed to, and do what `reset` does.

        Raises what `reset` raises, and EmailTaken, which leaves the link unused.
        """
        try:
            self._use_link(undo, "undo")
        except IntegrityError as error:
            if violated_columns(error, ["email_key"]):
                raise EmailTaken(["email"]) from error
            raise

    def _use_link(self, reset: PasswordReset, purpose: tokens.Purpose) -> None:
        link, user = self._find_link(reset.token, purpose)
        password_hash = self._hash_if_strong(reset.new_password, user)
        try:
            with self._database.begin() as tx:
                row = User.lock(tx, User.id == user.id)
                if not tokens.use(tx, link):
                    raise LinkInvalid
                messages = self._restore_email(tx, row, link) if purpose == "undo" else []
                if row.email == link.email and not row.email_verified:
                    row.email_verified_at = datetime.now(UTC)
                messages.append(self._set(tx, row, password_hash))
        except UserNotFound:
            raise LinkInvalid from None
        except TooManyWaitingWriters:  # nothing was written
            raise
        except RedisUnavailable:  # the password is set
            with suppress(SQLAlchemyError, RedisUnavailable), self._database.begin() as tx:
                tokens.restore(tx, link)
            raise
        self._outbox.send(*messages)

    def _restore_email(self, tx: Transaction, user: User, link: UserToken) -> list[Message]:
        """Restore the address of a link, and invalidate what was mailed to later ones.

        Earlier links to undo stay valid, so of several changes the earliest address wins.
        """
        tokens.revoke_later(tx, link)
        if user.email == link.email:
            return []
        tokens.revoke(tx, user.id, "verify")
        left, user.email, user.email_key = user.email, link.email, link.email.lower()
        user.email_verified_at = None
        user.updated_at = datetime.now(UTC)
        return [self._outbox.email_changed(tx, user, left, undoable=False)]

    def _find(self, user_id: int) -> User:
        with self._database.read() as tx:
            user = tx.get(User, user_id)
        if user is None:
            raise UserNotFound(user_id)
        return user

    def _find_link(self, token: SecretStr, purpose: tokens.Purpose) -> tuple[UserToken, User]:
        with self._database.read() as tx:
            link = tokens.find(tx, token.get_secret_value(), purpose)
            user = tx.get(User, link.user_id) if link is not None else None
        if link is None or user is None:
            raise LinkInvalid
        return link, user

    def _is_right(self, user: User, password: SecretStr) -> bool:
        return self._hasher.verify(user.password_hash, password.get_secret_value())

    def _hash_if_strong(self, password: SecretStr, user: User) -> str:
        new = normalized(password.get_secret_value())
        reason = weakness(
            new, personal_words(user.username, user.email, user.first_name, user.last_name)
        )
        if reason is not None:
            raise WeakPassword(reason)
        return self._hasher.hash(new)

    def _replace(self, user: User, password: SecretStr, *, spare: str) -> int:
        """Set a new password for a user whose current one was right; the new auth epoch."""
        password_hash = self._hash_if_strong(password, user)
        with self._database.begin() as tx:
            row = User.lock(tx, User.id == user.id)
            if row.password_hash != user.password_hash:  # another request has changed it
                raise WrongPassword
            message = self._set(tx, row, password_hash, spare=spare)
        self._outbox.send(message)
        return row.auth_epoch

    def _set(
        self, tx: Transaction, user: User, password_hash: str, *, spare: str | None = None
    ) -> Message:
        """Set the password of a locked user. Ends reset links, and all sessions except `spare`."""
        user.password_hash = password_hash
        user.auth_epoch += 1
        user.updated_at = datetime.now(UTC)
        tokens.revoke(tx, user.id, "reset")
        revoke_sessions(tx, Revocation.of(user.id, user.auth_epoch, spare))
        return self._outbox.password_changed(tx, user)
