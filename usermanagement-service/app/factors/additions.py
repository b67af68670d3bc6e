"""Adding second factors. The caller has checked that the login is fresh."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from common.pyportal_common.cache_handlers import (
    RedisPoolExhausted,
    RedisUnavailable,
    Revocation,
    Session,
    SessionChanged,
    SessionStore,
)
from common.pyportal_common.db import Database, Transaction, current_time, revoke_sessions

from ..errors import (
    AppsUnavailable,
    CodeWrong,
    NothingToConfirm,
    PasskeyAlreadyRegistered,
    PasskeyInvalid,
    TooManyPasskeys,
)
from ..models import AuthenticatorApp, Message, Passkey, User
from ..outbox import Outbox
from . import backup_codes, challenges
from .passkeys import PasskeyRefused, PasskeyVerifier, credential_id_of
from .proofs import CODE, PASSKEY, Held
from .schemas import AppEnrolment, NewPasskey
from .seeds import NoFactorKey, SeedCipher, SeedUnreadable
from .service import locked_user
from .totp import matching_step, new_seed, otpauth_url, qr_code

_MAX_PASSKEYS = 10


@dataclass(frozen=True, slots=True)
class Addition:
    """A session that continues with a new factor, and the backup codes if these are the first."""

    session: Session
    backup_codes: list[str] | None


@dataclass(slots=True)
class _Change:
    """What a transaction has done."""

    messages: list[Message] = field(default_factory=list)
    codes: list[str] | None = None
    epoch: int | None = None


class FactorAdditions:
    """Adds second factors to users, each in two steps: begun here, and finished by the device.

    Each change is mailed to the user. It is made in a session of the user, and raises
    SessionRevoked if that has ended meanwhile: whoever ends the sessions of a stolen account must
    not find another factor in it.
    """

    def __init__(
        self,
        database: Database,
        cipher: SeedCipher,
        verifier: PasskeyVerifier,
        store: SessionStore,
        outbox: Outbox,
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._verifier = verifier
        self._store = store
        self._outbox = outbox

    def begin_app(self, user_id: int, session: Session) -> AppEnrolment:
        """A new seed, which a code must confirm. One that is in use stays in use until then.

        Raises UserNotFound and AppsUnavailable.
        """
        seed = new_seed()
        try:
            stored = self._cipher.encrypt(seed, user_id)
        except NoFactorKey:
            raise AppsUnavailable from None
        with self._database.begin(changes_cached=False) as tx:
            user = locked_user(tx, user_id, session)
            challenges.issue(tx, "enrol", user_id=user_id, seed=stored)
            expires_at = current_time(tx) + challenges.LIFETIMES["enrol"]
        url = otpauth_url(seed, account=user.username, issuer=self._verifier.host)
        return AppEnrolment(
            secret=seed, otpauth_url=url, qr_svg=qr_code(url), expires_at=expires_at
        )

    def confirm_app(
        self, user_id: int, code: SecretStr, session: Session, *, end_others: bool
    ) -> Addition:
        """Use the seed that was begun, if this is a code of it, in place of an earlier one.

        The code is used up. The session continues under a new id, as one with this factor. Raises
        UserNotFound, NothingToConfirm and CodeWrong, and RedisUnavailable after `end_others`: the
        app is in use then, and new backup codes may be requested.
        """
        with self._database.begin() as tx:
            user = locked_user(tx, user_id, session)
            stored = challenges.pending_seed(tx, user_id)
            if stored is None:
                raise NothingToConfirm
            step = self._step(stored, code, user_id)
            challenges.revoke(tx, user_id, "enrol")
            change = self._record(tx, user, "app_added", session if end_others else None)
            tx.execute(delete(AuthenticatorApp).where(AuthenticatorApp.user_id == user_id))
            now = current_time(tx)
            tx.add(AuthenticatorApp(user_id=user_id, seed=stored, last_step=step, created_at=now))
        return self._continue(session, CODE, change)

    def begin_passkey(self, user_id: int, session: Session) -> dict[str, Any]:
        """The options for a browser to make a passkey. Raises UserNotFound and TooManyPasskeys."""
        with self._database.begin(changes_cached=False) as tx:
            user = locked_user(tx, user_id, session)
            present = Held.by(tx, user_id).passkeys
            if len(present) >= _MAX_PASSKEYS:
                raise TooManyPasskeys
            challenge = challenges.issue(tx, "register", user_id=user_id)
        return self._verifier.creation_options(user, challenge, present)

    def add_passkey(self, user_id: int, new: NewPasskey, session: Session) -> Addition:
        """Register a passkey that a browser has made. The session continues under a new id.

        Raises UserNotFound, PasskeyInvalid, PasskeyAlreadyRegistered and TooManyPasskeys, and
        RedisUnavailable as `confirm_app` does.
        """
        passkey = self._registered(user_id, new.name, new.credential)
        try:
            with self._database.begin() as tx:
                user = locked_user(tx, user_id, session)
                if len(Held.by(tx, user_id).passkeys) >= _MAX_PASSKEYS:
                    raise TooManyPasskeys
                ended_by = session if new.end_other_sessions else None
                change = self._record(tx, user, "passkey_added", ended_by)
                tx.add(passkey)
        except IntegrityError as error:
            raise PasskeyAlreadyRegistered from error
        return self._continue(session, PASSKEY, change)

    def _step(self, stored: str, code: SecretStr, user_id: int) -> int:
        try:
            seed = self._cipher.decrypt(stored, user_id)
        except SeedUnreadable:  # the key has changed since
            raise NothingToConfirm from None
        step = matching_step(seed, code.get_secret_value(), self._database.now())
        if step is None:
            raise CodeWrong
        return step

    def _registered(self, user_id: int, name: str, credential: Mapping[str, Any]) -> Passkey:
        challenge = challenges.challenge_in(credential)
        with self._database.begin(changes_cached=False) as tx:
            is_ours = challenges.use(tx, "register", challenge, user_id=user_id)
        if challenge is None or not is_ours:
            raise PasskeyInvalid
        try:
            found = self._verifier.registered(credential, challenge)
        except PasskeyRefused:
            raise PasskeyInvalid from None
        return Passkey(
            user_id=user_id,
            name=name,
            credential_id=credential_id_of(found),
            public_key=found.credential_public_key,
            sign_count=found.sign_count,
            created_at=self._database.now(),
        )

    def _record(self, tx: Transaction, user: User, change: str, spared: Session | None) -> _Change:
        """Note a new factor of a locked user, and end the other sessions if one is `spared`."""
        done = _Change([self._outbox.factors_changed(tx, user, change)])
        if not Held.by(tx, user.id):
            done.codes = backup_codes.replace_codes(tx, user.id)
        if spared is not None:
            user.auth_epoch += 1
            done.epoch = user.auth_epoch
            revoke_sessions(tx, Revocation.of(user.id, user.auth_epoch, spared.session_id))
        return done

    def _continue(self, session: Session, factor: str, change: _Change) -> Addition:
        """Continue the session with the new factor.

        The factor is in use by then, so an outage is no error: the session stays as it was. Raises
        SessionGone if the session has ended meanwhile.
        """
        self._outbox.send(*change.messages)
        with suppress(RedisUnavailable, RedisPoolExhausted, SessionChanged):
            session = self._store.rotate(
                session, auth_epoch=change.epoch, factors={**session.factors, factor: None}
            )
        return Addition(session, change.codes)
