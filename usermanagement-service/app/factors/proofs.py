"""Proving a second factor, at a login or when a session is renewed."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from common.pyportal_common.cache_handlers import Decision
from common.pyportal_common.db import Database, Transaction
from common.pyportal_common.db.batches import delete_in_batches

from ..errors import SecondFactorRefused
from ..models import AuthenticatorApp, FactorChallenge, Message, Passkey, User
from ..outbox import Outbox
from . import backup_codes, challenges
from .fields import Proof
from .limits import CodeLimit
from .passkeys import PasskeyRefused, PasskeyVerifier, chosen_passkey
from .seeds import SeedCipher, SeedUnreadable
from .totp import matching_step

logger = logging.getLogger(__name__)

PASSWORD, CODE, PASSKEY, BACKUP_CODE = "pwd", "otp", "pop", "backup"
"""The factors in sessions: the first three as in RFC 8176."""

_CODE_LENGTH = 6


@dataclass(frozen=True, slots=True)
class Held:
    """The second factors that a user has."""

    app: AuthenticatorApp | None = None
    passkeys: Sequence[Passkey] = ()

    def __bool__(self) -> bool:
        return self.app is not None or bool(self.passkeys)

    @classmethod
    def by(cls, tx: Transaction, user_id: int) -> "Held":
        """Those of a user. Two statements."""
        passkeys = select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)
        return cls(tx.get(AuthenticatorApp, user_id), tx.scalars(passkeys).all())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about a proof, before anything of it is used up.

    `use` uses it up in a transaction, and returns whether nobody else has, with the messages that
    follow; None for a proof that is wrong. `factor` is what it proves; None if nothing is needed.
    """

    factor: str | None
    use: Callable[[Transaction], tuple[bool, list[Message]]] | None = None
    counts: bool = False


NOT_NEEDED = Verdict(None)
_REFUSED = Verdict("")


class FactorProofs:
    """Verifies proofs of second factors, each once. SQL decides, so no state of Redis skips one."""

    def __init__(
        self,
        database: Database,
        cipher: SeedCipher,
        verifier: PasskeyVerifier,
        limit: CodeLimit,
        outbox: Outbox,
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._verifier = verifier
        self._limit = limit
        self._outbox = outbox

    def held(self, user_id: int) -> Held:
        """Those of a user, who must prove one of them beside the password."""
        with self._database.read() as tx:
            return Held.by(tx, user_id)

    def challenge(self) -> dict[str, Any]:
        """The options for a browser to have a passkey sign a challenge, whoever the user is."""
        with self._database.begin(changes_cached=False) as tx:
            challenge = challenges.issue(tx, "assert")
        return self._verifier.request_options(challenge)

    def delete_expired(self) -> None:
        """Delete the challenges that have expired."""
        expired = FactorChallenge.expires_at < self._database.now()
        delete_in_batches(self._database, FactorChallenge, expired)

    def open(self, proof: Proof) -> bytes | None:
        """Use up the challenge that a passkey has signed, before the password is looked at.

        None without a passkey, and for a challenge that is unknown, old or used.
        """
        if proof.passkey is None:
            return None
        challenge = challenges.challenge_in(proof.passkey)
        with self._database.begin(changes_cached=False) as tx:
            return challenge if challenges.use(tx, "assert", challenge) else None

    def examine(
        self, user: User | None, held: Held, proof: Proof, challenge: bytes | None
    ) -> Verdict:
        """What a proof proves. Changes nothing, so it may be called before the password is known.

        Its time must not depend on the password; it may depend on the factors.
        """
        if user is None or not held:
            return NOT_NEEDED
        if proof.passkey is not None:
            return self._of_passkey(user, held.passkeys, proof.passkey, challenge)
        if proof.code is None:
            return _REFUSED
        code = proof.code.get_secret_value()
        if len(code) == _CODE_LENGTH:
            return self._of_code(held.app, code)
        return self._of_backup_code(user, code)

    def accept(self, user: User, verdict: Verdict) -> Sequence[str]:
        """Use up what was proven, beside the password. Returns the factors of the session.

        Raises SecondFactorRefused, and RedisUnavailable.
        """
        if verdict.factor is None:
            return [PASSWORD]
        attempt = self._limit.hit(user.id) if verdict.counts else None
        if attempt is not None and not attempt.allowed:
            raise SecondFactorRefused
        if verdict.use is None:
            if attempt is not None and attempt.remaining == 0:
                self._notify_of_guesses(user.id, attempt)
            raise SecondFactorRefused
        if attempt is not None:
            self._limit.refund(attempt)
        self._use(verdict.use)
        return [PASSWORD, verdict.factor]

    def _use(self, use: Callable[[Transaction], tuple[bool, list[Message]]]) -> None:
        with self._database.begin(changes_cached=False) as tx:
            is_first, messages = use(tx)
        if not is_first:
            raise SecondFactorRefused
        self._outbox.send(*messages)

    def _of_code(self, app: AuthenticatorApp | None, code: str) -> Verdict:
        step = None if app is None else self._step(app, code)
        if app is None or step is None or step <= app.last_step:
            return Verdict(CODE, counts=True)
        return Verdict(CODE, lambda tx: (accept_step(tx, app, step), []), counts=True)

    def _step(self, app: AuthenticatorApp, code: str) -> int | None:
        try:
            seed = self._cipher.decrypt(app.seed, app.user_id)
        except SeedUnreadable as error:
            logger.error("The codes of user %s cannot be verified: %s", app.user_id, error)
            return None
        return matching_step(seed, code, self._database.now())

    def _of_passkey(
        self,
        user: User,
        passkeys: Sequence[Passkey],
        credential: Mapping[str, Any],
        challenge: bytes | None,
    ) -> Verdict:
        passkey = chosen_passkey(credential, passkeys)
        if passkey is None or challenge is None:
            return _REFUSED
        try:
            count = self._verifier.signed(credential, challenge, passkey)
        except PasskeyRefused as error:
            logger.info("A passkey of user %s was refused: %s", user.id, error)
            return _REFUSED
        now = self._database.now()
        return Verdict(PASSKEY, lambda tx: (accept_signature(tx, passkey, count, now), []))

    def _of_backup_code(self, user: User, code: str) -> Verdict:
        digest = backup_codes.digest_of(code)
        with self._database.read() as tx:
            if not backup_codes.is_unused(tx, user.id, digest):
                return _REFUSED

        def use(tx: Transaction) -> tuple[bool, list[Message]]:
            if not backup_codes.use(tx, user.id, digest):
                return False, []
            left = backup_codes.count_codes(tx, user.id)
            change = "backup_code_used"
            return True, [self._outbox.factors_changed(tx, user, change, codes_left=left)]

        return Verdict(BACKUP_CODE, use)

    def _notify_of_guesses(self, user_id: int, attempt: Decision) -> None:
        """Mail the user after the last attempt. If SQL cannot write, the next one is the last."""
        try:
            with self._database.begin(changes_cached=False) as tx:
                user = User.lock(tx, User.id == user_id)
                message = self._outbox.factors_changed(tx, user, "wrong_codes")
        except SQLAlchemyError as error:  # the response must not say that the password was right
            logger.warning("User %s is not notified of wrong codes yet: %s", user_id, error)
            self._limit.refund(attempt)
        else:
            self._outbox.send(message)


def accept_step(tx: Transaction, app: AuthenticatorApp, step: int) -> bool:
    """Accept the code of a time step. Of any number of concurrent calls one returns True.

    False as well if a later code was accepted since, or the app was replaced.
    """
    accepted = tx.scalar(
        update(AuthenticatorApp)
        .where(
            AuthenticatorApp.user_id == app.user_id,
            AuthenticatorApp.seed == app.seed,
            AuthenticatorApp.last_step < step,
        )
        .values(last_step=step)
        .returning(AuthenticatorApp.user_id)
    )
    return accepted is not None


def accept_signature(tx: Transaction, passkey: Passkey, count: int, now: datetime) -> bool:
    """Accept a signature of a passkey that has the counter which was read."""
    accepted = tx.scalar(
        update(Passkey)
        .where(Passkey.id == passkey.id, Passkey.sign_count == passkey.sign_count)
        .values(sign_count=count, last_used_at=now)
        .returning(Passkey.id)
    )
    return accepted is not None
