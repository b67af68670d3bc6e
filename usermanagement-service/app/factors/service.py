"""The second factors that users have. The caller has checked that the login is fresh."""

from sqlalchemy import delete

from common.pyportal_common.cache_handlers import (
    Session,
    SessionRevoked,
)
from common.pyportal_common.db import Database, Transaction

from ..errors import (
    FactorNotFound,
    NoSecondFactor,
)
from ..models import AuthenticatorApp, FactorRemoval, Message, Passkey, User
from ..outbox import Outbox
from . import backup_codes
from .proofs import Held
from .schemas import AppView, FactorsView, PasskeyView, RemovalView

_MAX_PASSKEYS = 10


class Factors:
    """The second factors that users have. Each change is mailed to the user.

    Every change is made in a session of the user, and raises SessionRevoked if that has ended
    meanwhile: whoever ends the sessions of a stolen account must not change factors in it.
    """

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    def show(self, user_id: int) -> FactorsView:
        """The user's factors, without anything secret."""
        with self._database.read() as tx:
            held = Held.by(tx, user_id)
            left = backup_codes.count_codes(tx, user_id)
            removal = tx.get(FactorRemoval, user_id)
        return FactorsView(
            app=None if held.app is None else AppView.model_validate(held.app),
            passkeys=[PasskeyView.model_validate(each) for each in held.passkeys],
            backup_codes_left=left,
            removal=None if removal is None else RemovalView.model_validate(removal),
        )

    def remove_app(self, user_id: int, session: Session) -> None:
        """Remove the authenticator app. Raises UserNotFound and FactorNotFound."""
        with self._database.begin(changes_cached=False) as tx:
            user = locked_user(tx, user_id, session)
            app = tx.get(AuthenticatorApp, user_id)
            if app is None:
                raise FactorNotFound
            tx.delete(app)
            message = self._removed(tx, user, "app_removed")
        self._outbox.send(message)

    def remove_passkey(self, user_id: int, passkey_id: int, session: Session) -> None:
        """Remove a passkey. Raises UserNotFound and FactorNotFound."""
        with self._database.begin(changes_cached=False) as tx:
            user = locked_user(tx, user_id, session)
            passkey = tx.get(Passkey, passkey_id)
            if passkey is None or passkey.user_id != user_id:
                raise FactorNotFound
            tx.delete(passkey)
            message = self._removed(tx, user, "passkey_removed")
        self._outbox.send(message)

    def renew_backup_codes(self, user_id: int, session: Session) -> list[str]:
        """Ten new codes, which replace the earlier ones. Raises UserNotFound and NoSecondFactor."""
        with self._database.begin(changes_cached=False) as tx:
            user = locked_user(tx, user_id, session)
            if not Held.by(tx, user_id):
                raise NoSecondFactor
            codes = backup_codes.replace_codes(tx, user_id)
            message = self._outbox.factors_changed(tx, user, "backup_codes_renewed")
        self._outbox.send(message)
        return codes

    def _removed(self, tx: Transaction, user: User, change: str) -> Message:
        """Note a removed factor of a locked user. Backup codes are of no use without another."""
        tx.flush()
        if not Held.by(tx, user.id):
            forget_rest(tx, user.id)
        return self._outbox.factors_changed(tx, user, change)


def forget_rest(tx: Transaction, user_id: int) -> None:
    """Delete what is of no use to a user without a second factor."""
    backup_codes.forget_codes(tx, user_id)
    tx.execute(delete(FactorRemoval).where(FactorRemoval.user_id == user_id))


def locked_user(tx: Transaction, user_id: int, session: Session) -> User:
    """Lock a user, whose session it is. Raises UserNotFound and SessionRevoked."""
    user = User.lock(tx, User.id == user_id)
    if session.auth_epoch < user.auth_epoch:
        raise SessionRevoked("the sessions have ended during the request")
    return user
