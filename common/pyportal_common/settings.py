"""Settings: environment variables, read once into frozen objects."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self, TypeVar, runtime_checkable
from urllib.parse import quote, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from .secret_files import SecretFileError, SecretFiles
from .setting_errors import explain


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError("the home directory of this user is not known") from None


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
"""A file or folder: `~` is expanded, and relative paths are made absolute at once."""

SERVICE_TOKEN_HEADER = "X-Service-Token"  # noqa: S105  a name

_MIN_TOKEN_LENGTH = 16
_TOKEN = re.compile("[!-+.-~-]*")  # what may be in a header, without commas
_SHORTEST_AUDIT_SECONDS = 0.01
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]_-]+")


@runtime_checkable
class _Parsed(Protocol):
    def parse(self, text: str, /) -> object: ...


class ConfigurationError(Exception):
    """A variable has an invalid value. The message names it and the accepted values."""


class Settings(BaseSettings):
    """Base of all settings classes: read from the environment, then from `.env`.

    `.env` is that of the working directory. An empty variable counts as not set. Unknown variables
    are ignored, because several classes read the same environment. If a field's default has a
    method `parse(text)`, it parses the variable: a `RateLimit` parses "5/60". A field of type
    SecretStr may be in a file, without a line break at its end: X_FILE names the file of X.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8-sig",  # some editors begin a file with a byte order mark
        enable_decoding=False,  # no variable is JSON
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _parse_by_default(cls, value: object, info: ValidationInfo) -> object:
        if info.field_name is None:
            raise RuntimeError("pydantic 2.12.0 names no field to validators: install another")
        default = cls.model_fields[info.field_name].default
        if isinstance(value, str) and isinstance(default, _Parsed):
            return default.parse(value)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add secrets in files. See BaseSettings."""
        sources = (env_settings, dotenv_settings)
        variables = (each.env_vars for each in sources if isinstance(each, EnvSettingsSource))
        files = SecretFiles(settings_cls, init_settings(), *variables)
        return init_settings, files, *sources

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Read the environment; arguments take precedence. Raises ConfigurationError."""
        _require_utf8(given.get("_env_file", cls.model_config.get("env_file")))
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigurationError(explain(cls, error)) from None
        except SecretFileError as error:
            raise ConfigurationError(str(error)) from None
        except UnicodeEncodeError:
            odd = [name for name, value in os.environ.items() if not _is_utf8(value)]
            raise ConfigurationError(f"{', '.join(odd)}: must be text in UTF-8") from None


S = TypeVar("S", bound=Settings)


class Load(Protocol):
    """Loads settings; arguments take precedence. Raises ConfigurationError."""

    def __call__(self, settings: type[S], /, **given: Any) -> S: ...


def from_environment(settings: type[S], /, **given: Any) -> S:
    """Load settings from the environment and `.env`, as `Settings.load` does."""
    return settings.load(**given)


def _is_utf8(text: str) -> bool:
    """Whether it has no surrogates, by which Python represents other bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _require_utf8(env_file: Any) -> None:
    """Raise ConfigurationError if the file exists and is not text in UTF-8."""
    if env_file is None or not Path(env_file).is_file():
        return
    try:
        is_text = "\0" not in Path(env_file).read_text("utf-8")  # UTF-16 may be valid UTF-8
    except UnicodeDecodeError:
        is_text = False
    except OSError as error:
        raise ConfigurationError(f"{Path(env_file).absolute()}: {error.strerror}") from None
    if not is_text:
        raise ConfigurationError(f"{Path(env_file).absolute()}: must be text in UTF-8")


@contextmanager
def exit_if_misconfigured() -> Iterator[None]:
    """End the process with the message of a ConfigurationError, without a traceback."""
    try:
        yield
    except ConfigurationError as error:
        sys.exit(str(error))


class LogSettings(Settings):
    """How this process logs."""

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


class ServiceSettings(LogSettings):
    """The variables that every service reads. Units are in the names or in comments."""

    # How long the entries of the audit log are kept.
    audit_days: int = Field(365, ge=1, le=36500)
    # Seconds between two cached values that the service compares with SQL; 0: it compares none.
    cache_audit_seconds: float = Field(1.0, ge=0, le=3600)
    # Seconds that a process uses cached values without checking for invalidations that did not
    # reach Redis. All processes of a service must have the same.
    cache_trust_seconds: float = Field(2.0, ge=0.1, le=30)
    # Origins of pages that may call the service: "https://app.example.com,http://localhost:3000".
    cors_origins: frozenset[str] = frozenset()
    data_dir: AbsolutePath = Path("data")
    # Seconds that a statement may take on PostgreSQL.
    database_timeout_seconds: float = Field(10.0, ge=1, le=300)
    database_url: SecretStr | None = None
    max_body_bytes: int = Field(1024 * 1024, ge=1024)
    # Where spans are sent, over HTTP: "http://localhost:4318". OpenTelemetry reads its other
    # variables itself.
    otel_exporter_otlp_endpoint: str | None = Field(None, pattern="^https?://")
    # A path below which the service is reached as well, if several share an origin:
    # "/taskprocessing".
    path_prefix: str = Field("", pattern=r"^/[a-z0-9-]+$|^$")
    proxy_hops: int = Field(0, ge=0, le=10)
    public_url: str = Field("http://localhost:5001", pattern="^https?://")
    # The tokens that services authenticate with: "name:token,name:token". A name may occur twice,
    # so that its token can be rotated.
    service_tokens: SecretStr = SecretStr("")
    # What the traceparent of a client is for the request's trace, which is a new one: a link; or
    # the trace that it joins. Those of services are joined always.
    trace_clients: Literal["link", "join"] = "link"

    @field_validator("cache_audit_seconds")
    @classmethod
    def _not_too_often(cls, value: float) -> float:
        if 0 < value < _SHORTEST_AUDIT_SECONDS:
            raise ValueError(f"must be 0, or {_SHORTEST_AUDIT_SECONDS} or more")
        return value

    @field_validator("service_tokens")
    @classmethod
    def _pairs(cls, value: SecretStr) -> SecretStr:
        for pair in filter(None, value.get_secret_value().split(",")):
            name, colon, token = pair.partition(":")
            if not (name.strip() and colon and len(token.strip()) >= _MIN_TOKEN_LENGTH):
                raise ValueError("must be name:token pairs, each token of 16 characters or more")
            if not is_token(token.strip()):
                raise ValueError(f"must have tokens of {HEADER_CHARACTERS}")
        return value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        origins = frozenset(filter(None, (text.strip() for text in value.split(","))))
        for origin in origins:
            if not _ORIGIN.fullmatch(origin) or _origin_of(origin) != origin:
                raise ValueError(
                    "must be origins as browsers send them, without a path and without *: "
                    "https://app.example.com,http://localhost:3000"
                )
        return origins

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        origin = _origin_of(value)
        if urlsplit(value)._replace(scheme="", netloc="").geturl() not in {"", "/"}:
            raise ValueError("must be a URL without a path, as in https://portal.example.com")
        return origin

    @property
    def is_local(self) -> bool:
        """Whether PUBLIC_URL is an address of this machine only, as in development."""
        return urlsplit(self.public_url).hostname in _LOCAL

    def services_by_token(self) -> dict[str, str]:
        """The tokens in SERVICE_TOKENS, each with the name of its service."""
        pairs = filter(None, self.service_tokens.get_secret_value().split(","))
        parts = (pair.partition(":") for pair in pairs)
        return {token.strip(): name.strip() for name, _, token in parts}

    def database_url_for(self, service: str) -> str:
        """The SQL database of `service`: DATABASE_URL, else a SQLite file in DATA_DIR."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{quote(str(self.data_dir.absolute() / service))}.sqlite3"


HEADER_CHARACTERS = "ASCII characters without spaces, line breaks and commas"


def is_token(text: str) -> bool:
    """Whether a header can have this text, and SERVICE_TOKENS contain it."""
    return _TOKEN.fullmatch(text) is not None


def _origin_of(url: str) -> str:
    """The URL as browsers send it in Origin: lower case, without a path or a default port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be a URL, as in https://portal.example.com") from None
    if not host:
        raise ValueError("must have a host, as in https://portal.example.com")
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in {None, default} else "")
