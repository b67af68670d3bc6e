"""The fields of bodies in which users prove a second factor."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from common.pyportal_common.web import Schema

MIN_CODE = 6  # characters


def _without_spaces(code: SecretStr) -> SecretStr:
    return SecretStr(code.get_secret_value().replace(" ", ""))


FactorCode = Annotated[
    SecretStr,
    AfterValidator(_without_spaces),
    Field(
        description="Six digits of an authenticator app, or a backup code.",
        min_length=MIN_CODE,
        max_length=40,
        examples=["123456"],
    ),
]
Credential = Annotated[
    dict[str, Any],
    Field(description="What the browser has returned, as PublicKeyCredential.toJSON() writes it."),
]


class Proof(Schema):
    """The proof of a second factor, beside a password. Nothing for users without one."""

    code: FactorCode | None = None
    passkey: Credential | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.code is not None and self.passkey is not None:
            raise PydanticCustomError("one_proof", "Must not contain both code and passkey")
        return self
