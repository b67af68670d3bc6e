"""Second factors of users in tests: an authenticator app, and a passkey in software."""

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

import cbor2
import pyotp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flask.testing import FlaskClient
from webauthn.helpers import bytes_to_base64url

from common.pyportal_common.testing.kit import API, bearer, json_of

from .conftest import CREDENTIALS, LOGIN, Headers, Json

APP = f"{API}/factors/app"
CONFIRM = f"{APP}/confirm"
CHALLENGE = f"{API}/passkeys/challenge"
OPTIONS = f"{API}/factors/passkeys/options"
PASSKEYS = f"{API}/factors/passkeys"
ORIGIN = "http://localhost:5001"

_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


def code_of(secret: str, *, steps: int = 0) -> str:
    """The code of an app, now or some steps of 30 s from now."""
    return pyotp.TOTP(secret).at(int(time.time()) + 30 * steps)


@dataclass
class App:
    """The authenticator app of a user, whose latest code was used when it was confirmed."""

    secret: str
    backup_codes: list[str]
    headers: Headers

    def next_code(self) -> str:
        """A code that is accepted once: each call needs a step more, and one is left."""
        return code_of(self.secret, steps=1)


def add_app(client: FlaskClient, headers: Headers, **options: Any) -> App:
    """Add an authenticator app, with the code of the step before, so that two more are left."""
    secret = json_of(client.post(APP, headers=headers))["secret"]
    for _ in range(2):  # if the next step begins before the code is checked, it is too old
        body = {"code": code_of(secret, steps=-1), **options}
        response = client.post(CONFIRM, json=body, headers=headers)
        if response.status_code != 422:
            break
    added = json_of(response)
    return App(secret, added["backupCodes"] or [], bearer(added["session"]["session_id"]))


@dataclass
class Authenticator:
    """Makes passkeys and signs with them, as a phone does."""

    origin: str = ORIGIN
    host: str = "localhost"
    count: int = 0
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def credential_id(self) -> bytes:
        """The id of the passkey."""
        return hashlib.sha256(str(self.key.private_numbers().private_value).encode()).digest()

    def create(self, options: Json) -> Json:
        """What `navigator.credentials.create` returns."""
        numbers = self.key.public_key().public_numbers()
        public_key = cbor2.dumps(
            {
                1: 2,
                3: -7,
                -1: 1,
                -2: numbers.x.to_bytes(32, "big"),
                -3: numbers.y.to_bytes(32, "big"),
            }
        )
        size = len(self.credential_id).to_bytes(2, "big")
        attested = bytes(16) + size + self.credential_id + public_key
        data = self._data(_PRESENT | _VERIFIED | _ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            attestationObject=attestation,
            clientDataJSON=self._client_data("webauthn.create", options["challenge"]),
        )

    def sign(self, challenge: str, *, counted: bool = True) -> Json:
        """What `navigator.credentials.get` returns."""
        self.count += counted
        data = self._data(_PRESENT | _VERIFIED)
        client_data = self._client_data("webauthn.get", challenge)
        signed = data + hashlib.sha256(client_data).digest()
        return self._answer(
            authenticatorData=data,
            clientDataJSON=client_data,
            signature=self.key.sign(signed, ec.ECDSA(hashes.SHA256())),
        )

    def _data(self, flags: int) -> bytes:
        host = hashlib.sha256(self.host.encode()).digest()
        return host + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client_data(self, kind: str, challenge: str) -> bytes:
        data = {"type": kind, "challenge": challenge, "origin": self.origin}
        return json.dumps(data).encode()

    def _answer(self, **response: bytes) -> Json:
        credential_id = bytes_to_base64url(self.credential_id)
        return {
            "id": credential_id,
            "rawId": credential_id,
            "type": "public-key",
            "response": {name: bytes_to_base64url(each) for name, each in response.items()},
            "clientExtensionResults": {},
        }


def challenge(client: FlaskClient) -> str:
    """A new challenge for a passkey."""
    return str(json_of(client.post(CHALLENGE))["options"]["challenge"])


def add_passkey(
    client: FlaskClient, headers: Headers, device: Authenticator, **more: Any
) -> Headers:
    """Add a passkey; headers of the session that continues."""
    options = json_of(client.post(OPTIONS, headers=headers))["options"]
    body = {"name": "My phone", "credential": device.create(options), **more}
    added = json_of(client.post(PASSKEYS, json=body, headers=headers))
    return bearer(added["session"]["session_id"])


def log_in_with(client: FlaskClient, **proof: Any) -> Any:
    """The response to a login of John with a second factor."""
    return client.post(LOGIN, json=CREDENTIALS | proof)
