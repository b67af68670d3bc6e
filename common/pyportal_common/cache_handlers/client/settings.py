"""The REDIS_* variables as one frozen, validated object."""

import socket
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict
from redis.backoff import NoBackoff
from redis.connection import SSLConnection, parse_url
from redis.retry import Retry

from ...settings import ConfigurationError, Load, Settings, from_environment
from .packing import command_packer
from .sentinel_addresses import Sentinels, SentinelUrl, require_host
from .tls import URL_OPTIONS, Tls, TlsConnection, TlsSettings
from .urls import require_usable

# An idle connection is kept known to firewalls, and one without a peer is closed.
_KEEPALIVE: dict[str, Any] = {
    "socket_keepalive": True,
    "socket_keepalive_options": {
        getattr(socket, name): seconds
        for name, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    },
}


class RedisSettings(TlsSettings):
    """REDIS_URL, or REDIS_HOST, REDIS_PORT, REDIS_DB, REDIS_USERNAME and REDIS_PASSWORD.

    A URL wins over the single variables, and a database in it over REDIS_DB. With REDIS_SENTINELS,
    or a `redis+sentinel://` URL, the server is the master that the sentinels name. Times are
    seconds.
    """

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: SecretStr | None = None
    host: str = Field("redis", min_length=1)
    port: int = Field(6379, ge=1, le=65535)
    db: int | None = Field(None, ge=0)
    username: str | None = None
    password: SecretStr | None = None

    # "host:port,host:port", the name of the master there, and the account at the sentinels.
    sentinels: str | None = None
    sentinel_master: str = Field("mymaster", min_length=1)
    sentinel_username: str | None = None
    sentinel_password: SecretStr | None = None
    # Whether connections to sentinels are encrypted; if not set, as those to the servers.
    sentinel_tls: bool | None = None

    # With redis-py's defaults (ten retries of five seconds) a hung server stalls a request for a
    # minute. Here it stalls one for at most the sum of the two timeouts; then the breaker opens.
    connect_timeout: float = Field(0.25, gt=0, le=30)
    read_timeout: float = Field(0.5, gt=0, le=30)
    max_connections: int = Field(16, ge=1, le=10_000)
    pool_timeout: float = Field(0.5, ge=0, le=30)

    @field_validator("url")
    @classmethod
    def _usable(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        require_usable(url.get_secret_value())
        return url

    @field_validator("host")
    @classmethod
    def _may_be_looked_up(cls, host: str) -> str:
        require_host(host)
        return host

    @model_validator(mode="after")
    def _tls_can_work(self) -> Self:
        if self.tls and "path" in self._from_url():
            raise ValueError("REDIS_TLS: must be false with a unix:// URL")
        for encryption in (self.encryption, self.encryption_of_sentinels):
            if encryption is not None:
                encryption.context()
        return self

    @field_validator("sentinels")
    @classmethod
    def _only_way(cls, sentinels: str | None, info: ValidationInfo) -> str | None:
        if sentinels is None:
            return None
        Sentinels.parse(sentinels, "")
        if info.data.get("url") is not None:
            raise ValueError("cannot be set together with REDIS_URL: remove one of them")
        return sentinels

    @classmethod
    def load(cls, **given: Any) -> Self:
        """See Settings.load. A URL among the arguments takes the place of REDIS_SENTINELS."""
        if given.get("url") is not None:
            given.setdefault("sentinels", None)
        return super().load(**given)

    def database(self, default: int = 0) -> int:
        """The database of REDIS_URL, else REDIS_DB, else `default`."""
        in_url = self._from_url().get("db")
        if in_url is not None:
            return int(in_url)
        return self.db if self.db is not None else default

    def connection_options(self, db: int) -> dict[str, Any]:
        """Keyword arguments for redis-py's connections to database `db`.

        Options in the URL do not change the timeouts.
        """
        options = self._from_url().items()
        in_url = {name: value for name, value in options if name not in URL_OPTIONS}
        where = {} if "path" in in_url else dict(_KEEPALIVE)
        if where and self.by_sentinel is None:
            where |= {"host": self.host, "port": self.port}
        tls = self.encryption
        encrypted = {"connection_class": TlsConnection, "tls": tls} if tls is not None else {}
        password = self.password.get_secret_value() if self.password is not None else None
        return {
            **where,
            "username": self.username,
            "password": password,
            **in_url,
            **encrypted,
            "db": db,
            "socket_connect_timeout": self.connect_timeout,
            "socket_timeout": self.read_timeout,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
            # Bytes that are not UTF-8 can be read without an error, and written unchanged.
            "encoding_errors": "surrogateescape",
            "command_packer": command_packer(),
            "protocol": 2,
            "driver_info": None,
        }

    @property
    def by_sentinel(self) -> Sentinels | None:
        """The sentinels that know which server to use, if there are any."""
        url = self._sentinel_url()
        if url is not None:
            return Sentinels.parse(url.hosts, url.master or self.sentinel_master)
        return Sentinels.parse(self.sentinels, self.sentinel_master) if self.sentinels else None

    @property
    def encryption(self) -> Tls | None:
        """How connections are encrypted; None if they are not."""
        in_url = self._from_url()
        if self.tls or in_url.get("connection_class") is SSLConnection:
            return self.tls_with(in_url)
        return None

    @property
    def encryption_of_sentinels(self) -> Tls | None:
        """How connections to sentinels are encrypted; None if they are not."""
        if self.sentinel_tls is None:
            return self.encryption
        return self.tls_with(self._from_url()) if self.sentinel_tls else None

    def sentinel_options(self) -> dict[str, Any]:
        """Keyword arguments for redis-py's connections to sentinels."""
        common = ("socket_connect_timeout", "socket_timeout", "retry", "protocol", "driver_info")
        of_servers = self.connection_options(db=0)
        tls = self.encryption_of_sentinels
        encrypted = {"connection_class": TlsConnection, "tls": tls} if tls is not None else {}
        return {
            **{name: of_servers[name] for name in common},
            **encrypted,
            "decode_responses": True,
            "encoding_errors": "surrogateescape",
            "username": self.sentinel_username,
            "password": self.sentinel_password and self.sentinel_password.get_secret_value(),
        }

    @property
    def address(self) -> str:
        """The server's address for logs, without credentials."""
        if self.by_sentinel is not None:
            return str(self.by_sentinel)
        options = self.connection_options(db=0)
        return str(options["path"]) if "path" in options else f"{options['host']}:{options['port']}"

    def _sentinel_url(self) -> SentinelUrl | None:
        return SentinelUrl.parse(self.url.get_secret_value()) if self.url is not None else None

    def _from_url(self) -> dict[str, Any]:
        """redis-py's options in the URL, without the sentinels."""
        if self.url is None:
            return {}
        url = self._sentinel_url()
        if url is None:
            return dict(parse_url(self.url.get_secret_value()))
        options = dict(parse_url(url.plain))
        del options["host"]
        return options


class OwnDatabase(Settings):
    """A Redis database for one purpose, on the server of the REDIS_* variables unless it has a URL.

    A database in the URL wins over `redis_db`. Subclasses add the prefix of the variables.
    """

    redis_db: int = Field(0, ge=0)
    redis_url: SecretStr | None = None

    def server(self, load: Load = from_environment) -> tuple[RedisSettings, int]:
        """The server and the database. Raises ConfigurationError."""
        if self.redis_url is None:
            return load(RedisSettings), self.redis_db
        try:
            settings = load(RedisSettings, url=self.redis_url)
        except ConfigurationError as error:
            own = f"{self.model_config.get('env_prefix', '')}REDIS_URL: "
            raise ConfigurationError(str(error).replace("REDIS_URL: ", own)) from None
        return settings, settings.database(self.redis_db)


class SessionSettings(OwnDatabase):
    """Where all services keep sessions."""

    model_config = SettingsConfigDict(env_prefix="SESSION_")
