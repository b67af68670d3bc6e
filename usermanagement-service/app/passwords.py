"""Passwords: judged by zxcvbn, hashed by argon2id."""

import threading
import unicodedata
from collections.abc import Sequence

from argon2 import PasswordHasher
from zxcvbn import zxcvbn

from .errors import PasswordHashingBusy

_JUDGED = 72  # characters: zxcvbn takes no more, and its time grows faster than the length
_STRONG_ENOUGH = 3  # of 4: "safely unguessable" for a slow hash that leaked


class Passwords:
    """Hashes passwords, `concurrency` at once: more would only take turns, each with its memory.

    argon2id with 19 MiB, two passes and one lane, as OWASP's Password Storage Cheat Sheet has it.
    """

    def __init__(self, *, concurrency: int, wait_seconds: float = 2.0) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._slots = threading.BoundedSemaphore(concurrency)
        self._wait_seconds = wait_seconds

    def hash(self, password: str) -> str:
        """The hash, with its salt and parameters. Raises PasswordHashingBusy after the wait."""
        if not self._slots.acquire(timeout=self._wait_seconds):
            raise PasswordHashingBusy(f"no slot within {self._wait_seconds} s")
        try:
            return self._hasher.hash(_normalized(password))
        finally:
            self._slots.release()


def weakness(password: str, personal: Sequence[str]) -> str | None:
    """Why the password is refused, for people; None when it is good enough.

    `personal` is what anybody who knows the user would try first: name, address.
    """
    if password.casefold() in {text.casefold() for text in personal}:
        return "must not be your name or e-mail address"
    verdict = zxcvbn(password[:_JUDGED], user_inputs=list(personal))
    if verdict["score"] >= _STRONG_ENOUGH:
        return None
    reason = verdict["feedback"]["warning"] or "Add another word or two."
    return f"is too easy to guess: {reason}"


def _normalized(password: str) -> str:
    # The same key press gives other code points on other systems: NIST SP 800-63B, 3.1.1.2.
    return unicodedata.normalize("NFKC", password)
