"""Passkeys, by WebAuthn: what browsers are asked, and whether they may answer so.

The library is imported when it is used: it takes 14 MB and 0.1 s in each process.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..models import Passkey, User

if TYPE_CHECKING:
    from webauthn.registration.verify_registration_response import VerifiedRegistration

_TIMEOUT_MS = 300_000


class PasskeyRefused(Exception):
    """A browser's answer is not that of a passkey of this user, to this challenge, on our pages."""


class PasskeyVerifier:
    """Composes the options of browsers, and verifies what they return.

    The passkeys are of the host of PUBLIC_URL, and work on the pages of these origins.
    """

    def __init__(self, public_url: str, origins: Collection[str]) -> None:
        self.host = urlsplit(public_url).hostname or ""
        self._origins = [public_url, *sorted(origins)]

    def creation_options(
        self, user: User, challenge: bytes, present: Iterable[Passkey]
    ) -> dict[str, Any]:
        """The options of `navigator.credentials.create`.

        The passkey must be discoverable: nobody who logs in is told which passkeys a user has.
        """
        import webauthn
        from webauthn.helpers import base64url_to_bytes, structs

        options = webauthn.generate_registration_options(
            rp_id=self.host,
            rp_name=self.host,
            user_id=str(user.id).encode(),
            user_name=user.username,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=[
                structs.PublicKeyCredentialDescriptor(id=base64url_to_bytes(passkey.credential_id))
                for passkey in present
            ],
        )
        return _as_json(options)

    def request_options(self, challenge: bytes) -> dict[str, Any]:
        """The options of `navigator.credentials.get`, which are the same for all users."""
        import webauthn

        options = webauthn.generate_authentication_options(
            rp_id=self.host, challenge=challenge, timeout=_TIMEOUT_MS
        )
        return _as_json(options)

    def registered(self, credential: Mapping[str, Any], challenge: bytes) -> "VerifiedRegistration":
        """The new passkey in a browser's answer. Raises PasskeyRefused."""
        import webauthn

        try:
            return webauthn.verify_registration_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self.host,
                expected_origin=self._origins,
            )
        except Exception as error:  # noqa: BLE001  it has errors of its own and any others
            raise PasskeyRefused(type(error).__name__) from None

    def signed(self, credential: Mapping[str, Any], challenge: bytes, passkey: Passkey) -> int:
        """How often the passkey has signed, by its answer. Raises PasskeyRefused.

        Unless it always says 0, that must be more than it was: else there is a copy of it.
        """
        import webauthn

        try:
            verified = webauthn.verify_authentication_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self.host,
                expected_origin=self._origins,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
            )
        except Exception as error:  # noqa: BLE001  as above
            raise PasskeyRefused(type(error).__name__) from None
        return verified.new_sign_count


def chosen_passkey(credential: Mapping[str, Any], passkeys: Iterable[Passkey]) -> Passkey | None:
    """The one of a user's passkeys that has answered. Another user's is none of them."""
    return next((each for each in passkeys if each.credential_id == credential.get("id")), None)


def credential_id_of(registered: "VerifiedRegistration") -> str:
    """The id of a new passkey, as browsers send it."""
    from webauthn.helpers import bytes_to_base64url

    return bytes_to_base64url(registered.credential_id)


def _as_json(options: Any) -> dict[str, Any]:
    import webauthn

    found: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return found
