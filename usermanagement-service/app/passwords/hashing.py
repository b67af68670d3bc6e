"""Passwords: judged by zxcvbn, hashed by argon2id."""

import secrets
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from zxcvbn import zxcvbn

from .errors import PasswordHashingBusy

_JUDGED = 24  # characters: 0.2 s at worst, where 72 crafted ones take 5 s
_LONGEST_WAIT = 2.0  # seconds
_judging = threading.BoundedSemaphore(1)
_STRONG_ENOUGH = 3  # of 4: "safely unguessable" for a slow hash that leaked


class Passwords:
    """Hashes passwords, `concurrency` at once: more would only take turns, each with its memory.

    argon2id with 19 MiB, two passes and one lane, as OWASP's Password Storage Cheat Sheet has it.
    """

    def __init__(self, *, concurrency: int, wait_seconds: float = _LONGEST_WAIT) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._of_nobody = self._hasher.hash(secrets.token_hex())
        self._slots = threading.BoundedSemaphore(concurrency)
        self._wait_seconds = wait_seconds

    def hash(self, password: str) -> str:
        """The hash, with its salt and parameters. Raises PasswordHashingBusy after the wait."""
        with _slot(self._slots, self._wait_seconds):
            return self._hasher.hash(normalized(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the one. Takes as long for a user that there is not (None).

        Raises PasswordHashingBusy after the wait.
        """
        with _slot(self._slots, self._wait_seconds):
            try:
                self._hasher.verify(password_hash or self._of_nobody, normalized(password))
            except VerifyMismatchError:
                return False
        return password_hash is not None


def normalized(password: str) -> str:
    """The password whatever system it was typed on: NFKC, as NIST SP 800-63B 3.1.1.2 wants."""
    return unicodedata.normalize("NFKC", password)


def personal_words(
    username: str | None, email: str | None, first_name: str | None, last_name: str | None
) -> list[str]:
    """What anybody who knows the user would try first."""
    words = [username, email, first_name, last_name, email.partition("@")[0] if email else None]
    return [word for word in words if word]


def weakness(password: str, personal: Sequence[str]) -> str | None:
    """Why a normalized password is refused, for people; None when it is good enough.

    `personal` is what `personal_words` gives. Only the first 24 characters count. Raises
    PasswordHashingBusy when too many are judged at once.
    """
    if password.casefold() in {text.casefold() for text in personal}:
        return "must not be your name or e-mail address"
    # One at a time: zxcvbn keeps `user_inputs` in a global, where threads would swap theirs.
    with _slot(_judging, _LONGEST_WAIT):
        # Its patterns take a line break for the end, and then fail on it.
        judged = password[:_JUDGED].replace("\n", " ")
        verdict = zxcvbn(judged, user_inputs=list(personal))
    if verdict["score"] >= _STRONG_ENOUGH:
        return None
    reason = verdict["feedback"]["warning"] or "Add another word or two."
    return f"is too easy to guess: {reason}"


@contextmanager
def _slot(slots: threading.Semaphore, wait_seconds: float) -> Iterator[None]:
    if not slots.acquire(timeout=wait_seconds):
        raise PasswordHashingBusy(f"no slot within {wait_seconds} s")
    try:
        yield
    finally:
        slots.release()
