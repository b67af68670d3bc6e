"""Idempotency keys: a request that is sent again gets the answer that it got, and no new effect.

After draft-ietf-httpapi-idempotency-key-header. Beyond Redis it needs a constraint in SQL: see
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

_DAY = 24 * 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Begun:
    """The request is the first of its key: take this to `finish` or `abandon`."""

    record: str
    token: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another request with the key is being processed. Ask again in `retry_after` seconds."""

    retry_after: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the request, to be given again: all of it that may be. No location: ""."""

    status: int
    content_type: str
    location: str
    body: str


class IdempotencyStore:
    """Remembers by key what was asked and answered. Each call is one round trip.

    Whoever begins gets the key for `lease_seconds`, so a process that dies blocks it no longer
    than that. A lease is fenced by a random token: a request that took longer can neither overwrite
    nor remove what another has stored since. It cannot undo its effect either, and what Redis never
    heard of happens twice; so a constraint in SQL has to stand behind every key.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        service: str,
        lease_seconds: float = 60.0,
        keep_seconds: float = _DAY,
    ) -> None:
        self._client = client
        self._service = service
        self._lease_ms = milliseconds(lease_seconds)
        self._keep_ms = milliseconds(keep_seconds)
        self._scripts = {
            name: Script.load(__package__, name) for name in ("begin", "finish", "abandon")
        }

    def begin(self, scope: str, key: str, fingerprint: str) -> Begun | InFlight | Mismatch | Reply:
        """Whether a request may be processed, or what became of the one before it.

        `scope` says what is asked for, and by whom: a key means nothing outside of it. What Redis
        holds of the key is a digest. Raises RedisUnavailable in an outage.
        """
        begun = Begun(keys.idempotency(self._service, scope, key), secrets.token_hex(8))
        found: Sequence[str | int] = self._client.run(
            self._scripts["begin"], [begun.record], [begun.token, fingerprint, self._lease_ms]
        )
        self._client.observer.idempotency(str(found[0]))
        if found[0] == "begun":
            return begun
        if found[0] == "in flight":
            return InFlight(self._patience(int(found[1])))
        if found[0] == "mismatch":
            return Mismatch()
        status, content_type, location, body = found[1:]
        return Reply(int(status), str(content_type), str(location), str(body))

    def finish(self, begun: Begun, reply: Reply) -> bool:
        """Keep the answer for `keep_seconds`.

        False when the lease has ended, or in an outage: what was done is done, and has to be
        answered. The key stays taken until its lease ends.
        """
        answer = (reply.status, reply.content_type, reply.location, reply.body)
        return self._end("finish", begun, (self._keep_ms, *answer))

    def abandon(self, begun: Begun) -> bool:
        """Set the key free, for a request that had no effect. False as `finish`."""
        return self._end("abandon", begun, [])

    def _end(self, name: str, begun: Begun, arguments: Sequence[str | int]) -> bool:
        try:
            was_ours = self._client.run(
                self._scripts[name], [begun.record], [begun.token, *arguments]
            )
        except RedisLayerError:  # an outage, or a full pool
            was_ours = 0
        self._client.observer.idempotency(name if was_ours else "late")
        return bool(was_ours)

    def _patience(self, left_ms: int) -> int:
        """As long as the other has been at it, so that who asks again and again asks less often."""
        taken = math.ceil((self._lease_ms - left_ms) / 1000)
        return max(1, min(taken, math.ceil(left_ms / 1000)))


def fingerprint_of(key: str, *parts: bytes, secret: bool = True) -> str:
    """What tells a request from another under the same key, and nobody what was in it.

    A `secret` body may hold a password, and whoever reads Redis must not be able to guess it. So
    the fingerprint is keyed by the client's key, which Redis does not hold: where that is random
    there is nothing to guess with. Where it is not, each guess costs what scrypt costs (RFC 7914;
    8 MiB, about the time of the argon2id that SQL holds). Others are spared that: an HMAC will do.
    """
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    # Hashed first, because scrypt takes a short text and the same with zeros behind it for one.
    digest = hashlib.sha256(framed).digest()
    if not secret:
        return hmac.digest(key.encode(), digest, "sha256").hex()
    return hashlib.scrypt(digest, salt=key.encode(), n=2**13, r=8, p=1, dklen=32).hex()
