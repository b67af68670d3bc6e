"""Secrets in files: REDIS_PASSWORD_FILE names the file that contains REDIS_PASSWORD."""

import re
import stat
from collections import ChainMap
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

_MAX_BYTES = 65_536
_NOT_UTF8 = "the file must be text in UTF-8"


class SecretFileError(Exception):
    """A file cannot be used. The message names its variable, and shows nothing of the file."""


class SecretFiles(PydanticBaseSettingsSource):
    """The fields of type SecretStr whose variable with the suffix _FILE is set.

    `given` are fields that are arguments: they take precedence, so their files are not read.
    `variables` are those of the environment and of `.env`, by their names in lower case.
    """

    def __init__(
        self,
        settings: type[BaseSettings],
        given: Collection[str],
        *variables: Mapping[str, str | None],
    ) -> None:
        super().__init__(settings)
        self._given = given
        self._variables = ChainMap(*map(dict, variables))

    def __call__(self) -> dict[str, Any]:
        """The secrets by field. Raises SecretFileError."""
        secrets = {}
        for name, field in self.settings_cls.model_fields.items():
            if name not in self._given and is_secret(field):
                secrets[name], _, _ = self.get_field_value(field, name)
        return {name: secret for name, secret in secrets.items() if secret is not None}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """See PydanticBaseSettingsSource."""
        variable = f"{self.config.get('env_prefix', '')}{field_name}".upper()
        file = self._variables.get(f"{variable}_file".lower())
        if file is None:
            return None, field_name, False
        if self._variables.get(variable.lower()) is not None:
            raise SecretFileError(
                f"{variable}_FILE: cannot be set together with {variable}: remove one of them"
            )
        return _read(f"{variable}_FILE", Path(file)), field_name, False


def is_secret(field: FieldInfo) -> bool:
    """Whether a field of a settings class may be in a file."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _read(variable: str, file: Path) -> str:
    # The path is not shown either: it is the secret, if that was set in the wrong variable.
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe may wait for ever, a device have no end
            raise SecretFileError(f"{variable}: must be a regular file")
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise SecretFileError(f"{variable}: the file is longer than {_MAX_BYTES} bytes")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise SecretFileError(f"{variable}: the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SecretFileError(f"{variable}: {_NOT_UTF8}") from None
    if "\0" in text:  # UTF-16 without a byte order mark is valid UTF-8, if it is ASCII
        raise SecretFileError(f"{variable}: {_NOT_UTF8}")
    secret = re.sub(r"\r?\n\Z", "", text)
    if not secret:  # an empty variable is as if it were not set: a service would use SQLite
        raise SecretFileError(f"{variable}: the file is empty")
    return secret
