"""The seeds of authenticator apps, encrypted in SQL with a key of the environment."""

import base64
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES, _NONCE_BYTES = 32, 12


class NoFactorKey(Exception):
    """FACTOR_KEYS has no key, so nothing can be encrypted."""


class SeedUnreadable(Exception):
    """A seed was encrypted with a key that FACTOR_KEYS does not have, or for another user."""


def parse_keys(text: str) -> tuple[bytes, ...]:
    """The keys in FACTOR_KEYS, separated by commas. ValueError for what is not 32 bytes."""
    keys = tuple(_decoded(part.strip()) for part in text.split(",") if part.strip())
    if any(len(key) != _KEY_BYTES for key in keys):
        raise ValueError("must be keys of 32 bytes in base64, as openssl rand -base64 32 prints")
    return keys


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


class SeedCipher:
    """Encrypts with the first key, and decrypts with any of them.

    AES-256-GCM. The user's id is authenticated as well, so a seed that is copied to the row of
    another user cannot be read there.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {_id_of(key): AESGCM(key) for key in keys}
        self._current = next(iter(self._ciphers), None)

    @property
    def current(self) -> str | None:
        """What seeds begin with that the first key has encrypted; None without a key."""
        return None if self._current is None else f"{self._current}."

    def encrypt(self, seed: str, user_id: int) -> str:
        """The seed as it is stored. Raises NoFactorKey."""
        if self._current is None:
            raise NoFactorKey
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, seed.encode(), _owner(user_id))
        return f"{self._current}.{base64.b64encode(nonce + sealed).decode()}"

    def decrypt(self, stored: str, user_id: int) -> str:
        """The seed. Raises SeedUnreadable."""
        key_id, _, text = stored.partition(".")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SeedUnreadable(f"FACTOR_KEYS lacks the key {key_id}")
        sealed = base64.b64decode(text)
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, rest, _owner(user_id)).decode()
        except InvalidTag:
            raise SeedUnreadable("the seed was damaged, or is of another user") from None


def _id_of(key: bytes) -> str:
    """Names a key without disclosing it."""
    return hashlib.sha256(b"pyportal factor key" + key).hexdigest()[:8]


def _owner(user_id: int) -> bytes:
    return f"user={user_id}".encode()
