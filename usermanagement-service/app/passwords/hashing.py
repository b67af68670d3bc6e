"""Passwords: their strength by zxcvbn, their hashes by argon2id."""

import secrets
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from zxcvbn_rs_py import zxcvbn

from ..errors import PasswordHashingBusy

_MAX_JUDGED = 24  # characters: 50 ms at worst, while 100 crafted ones take 0.7 s
_MAX_WAIT_SECONDS = 2.0
_MIN_SCORE = 3  # of 4: "safely unguessable" if a slow hash leaks

# 19 MiB, two passes and one lane, as in OWASP's Password Storage Cheat Sheet.
_ARGON2 = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Hasher:
    """Hashes passwords, at most `concurrency` at once: more would only share cores and use memory.

    `argon2` is for tests, which need less work.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        wait_seconds: float = _MAX_WAIT_SECONDS,
        argon2: PasswordHasher = _ARGON2,
    ) -> None:
        self._argon2 = argon2
        self._dummy_hash = self._argon2.hash(secrets.token_hex())
        self._slots = threading.BoundedSemaphore(concurrency)
        self._wait_seconds = wait_seconds

    def hash(self, password: str) -> str:
        """The hash, with its salt and parameters. Raises PasswordHashingBusy after the wait."""
        with _slot(self._slots, self._wait_seconds):
            return self._argon2.hash(normalized(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the hash is that of the password. Without a user (None) it takes as long.

        Raises PasswordHashingBusy after the wait.
        """
        with _slot(self._slots, self._wait_seconds):
            try:
                self._argon2.verify(password_hash or self._dummy_hash, normalized(password))
            except VerifyMismatchError:
                return False
        return password_hash is not None


def normalized(password: str) -> str:
    """The same text for every keyboard it is typed on: NFKC, as in NIST SP 800-63B 3.1.1.2."""
    return unicodedata.normalize("NFKC", password)


def personal_words(
    username: str | None, email: str | None, first_name: str | None, last_name: str | None
) -> list[str]:
    """The words that anyone who knows the user would try first."""
    words = [username, email, first_name, last_name, email.partition("@")[0] if email else None]
    return [word for word in words if word]


def weakness(password: str, personal: Sequence[str]) -> str | None:
    """Why a normalized password is refused, as a message for the user; None if it is accepted.

    `personal` is the result of `personal_words`. Only the first 24 characters count.
    """
    if password.casefold() in {word.casefold() for word in personal}:
        return "Must not be your name or e-mail address"
    verdict = zxcvbn(password[:_MAX_JUDGED], list(personal))
    if int(verdict.score) >= _MIN_SCORE:
        return None
    warning = verdict.feedback.warning if verdict.feedback else None
    reason = str(warning or "add another word or two").rstrip(".")
    return f"Too easy to guess: {reason[0].lower()}{reason[1:]}"


@contextmanager
def _slot(slots: threading.Semaphore, wait_seconds: float) -> Iterator[None]:
    if not slots.acquire(timeout=wait_seconds):
        raise PasswordHashingBusy(f"no slot within {wait_seconds} s")
    try:
        yield
    finally:
        slots.release()
