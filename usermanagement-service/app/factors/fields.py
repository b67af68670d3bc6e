"""The fields of bodies in which users prove a second factor."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError, from_json

from common.pyportal_common.web import Schema

MAX_CREDENTIAL = 8000  # characters, in a form

_MIN_CODE = 6  # characters


def _without_spaces(code: SecretStr) -> SecretStr:
    return SecretStr(code.get_secret_value().replace(" ", ""))


FactorCode = Annotated[
    SecretStr,
    AfterValidator(_without_spaces),
    Field(
        description="Six digits of an authenticator app, or a backup code.",
        min_length=_MIN_CODE,
        max_length=40,
        examples=["123456"],
    ),
]
Credential = Annotated[
    dict[str, Any],
    Field(description="What the browser has returned, as PublicKeyCredential.toJSON() writes it."),
]


ONE_PROOF: dict[str, Any] = {"not": {"required": ["code", "passkey"]}}
"""What a Proof requires, in JSON Schema."""


class Proof(Schema):
    """The proof of a second factor, beside a password. Nothing for users without one."""

    model_config = ConfigDict(json_schema_extra=ONE_PROOF)

    code: FactorCode | None = None
    passkey: Credential | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.code is not None and self.passkey is not None:
            raise PydanticCustomError("one_proof", "Must not contain both code and passkey")
        return self


def proof_in_form(code: str, passkey: str) -> dict[str, Any]:
    """The fields of a Proof, as a form has them. What cannot be a proof is a wrong one."""
    if passkey:
        return {"passkey": credential_in_form(passkey)}
    code = code.replace(" ", "")
    return {"code": code} if len(code) >= _MIN_CODE else {}


def credential_in_form(text: str) -> dict[str, Any]:
    """The credential that a page has put in a field of a form; an empty one if it is none."""
    try:
        found = from_json(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
