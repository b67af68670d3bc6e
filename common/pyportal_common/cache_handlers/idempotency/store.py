"""Idempotency keys: a repeated request gets the first response and has no second effect.

After draft-ietf-httpapi-idempotency-key-header. It also needs a constraint in SQL: see
`IdempotencyStore`.
"""

import hashlib
import hmac
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from .. import keys
from ..client.client import RedisClient
from ..client.errors import RedisLayerError
from ..client.scripts import Script
from ..client.values import milliseconds

_KEEP_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Begun:
    """The request is the first with its key. Pass this to `finish` or `abandon`."""

    record: str
    token: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another request with the key is being processed. Retry after `retry_after` seconds."""

    retry_after: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used for a different request."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The parts of a response that are stored and replayed. An empty location means none."""

    status: int
    content_type: str
    location: str
    body: str


class IdempotencyStore:
    """Stores requests and their responses by idempotency key. Each call is one round trip.

    A request holds its key for at most `lease_seconds`, so that a process that dies does not block
    it for longer. The lease has a random token: a request that took longer can neither overwrite
    nor remove what another one stored since. It cannot undo its effect either, and Redis may lose
    records. So every use needs a constraint in SQL that refuses the second effect.
    """

    def __init__(self, client: RedisClient, *, service: str, lease_seconds: float = 60.0) -> None:
        self._client = client
        self._service = service
        self._lease_ms = milliseconds(lease_seconds)
        self._scripts = {
            name: Script.load(__package__, name) for name in ("begin", "finish", "abandon")
        }

    def begin(self, scope: str, key: str, fingerprint: str) -> Begun | InFlight | Mismatch | Reply:
        """Begin a request, or return the state of the earlier one with this key.

        A key is valid within its `scope`: the operation and the user. Redis holds only a digest of
        the key. Raises RedisUnavailable in an outage.
        """
        begun = Begun(keys.idempotency(self._service, scope, key), secrets.token_hex(8))
        found: Sequence[str | int] = self._client.run(
            self._scripts["begin"], [begun.record], [begun.token, fingerprint, self._lease_ms]
        )
        self._client.observer.idempotency(str(found[0]))
        if found[0] == "begun":
            return begun
        if found[0] == "in flight":
            return InFlight(self._retry_after(int(found[1])))
        if found[0] == "mismatch":
            return Mismatch()
        status, content_type, location, body = found[1:]
        return Reply(int(status), str(content_type), str(location), str(body))

    def finish(self, begun: Begun, reply: Reply) -> bool:
        """Store the response for 24 hours.

        False if the lease has ended, or in an outage: the effect has happened, so the caller must
        respond as usual. The key stays taken until its lease ends.
        """
        response = (reply.status, reply.content_type, reply.location, reply.body)
        return self._end("finish", begun, (_KEEP_MS, *response))

    def abandon(self, begun: Begun) -> bool:
        """Release the key of a request that had no effect. False as `finish`."""
        return self._end("abandon", begun, [])

    def _end(self, name: str, begun: Begun, arguments: Sequence[str | int]) -> bool:
        try:
            was_held = self._client.run(
                self._scripts[name], [begun.record], [begun.token, *arguments]
            )
        except RedisLayerError:  # an outage, or a full pool
            was_held = 0
        self._client.observer.idempotency(name if was_held else "late")
        return bool(was_held)

    def _retry_after(self, left_ms: int) -> int:
        """The time that the first request has taken so far, so that clients back off."""
        taken = math.ceil((self._lease_ms - left_ms) / 1000)
        return max(1, min(taken, math.ceil(left_ms / 1000)))


def fingerprint_of(key: str, *parts: bytes, secret: bool = True) -> str:
    """A digest that distinguishes requests with the same key and does not reveal their content.

    A `secret` body may contain a password, which a reader of Redis must not be able to guess. So
    the digest is keyed by the client's key, which is not in Redis. If that key is not random, each
    guess costs one scrypt (RFC 7914; 8 MiB, about the time of the argon2id hash in SQL). Bodies
    without secrets use the cheaper HMAC.
    """
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    # Hashed first: for scrypt a short text equals the same text with zeros appended.
    digest = hashlib.sha256(framed).digest()
    if not secret:
        return hmac.digest(key.encode(), digest, "sha256").hex()
    return hashlib.scrypt(digest, salt=key.encode(), n=2**13, r=8, p=1, dklen=32).hex()
