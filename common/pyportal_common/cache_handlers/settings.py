"""Where Redis is: the REDIS_* variables as one frozen, validated object."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict
from redis.connection import parse_url

from ..settings import Settings


class RedisSettings(Settings):
    """REDIS_URL, or REDIS_HOST, REDIS_PORT, REDIS_DB, REDIS_USERNAME and REDIS_PASSWORD.

    A URL wins over the single variables, and a database in it over REDIS_DB. Times are seconds.
    """

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: SecretStr | None = None
    host: str = Field("redis", min_length=1)
    port: int = Field(6379, ge=1, le=65535)
    db: int | None = Field(None, ge=0)
    username: str | None = None
    password: SecretStr | None = None

    # redis-py's own defaults (ten retries, five seconds each) hold a request for a minute when
    # the server hangs. These bound it to the sum of the two, once; then the breaker answers.
    connect_timeout: float = Field(0.25, gt=0, le=30)
    read_timeout: float = Field(0.5, gt=0, le=30)
    max_connections: int = Field(16, ge=1, le=10_000)
    pool_timeout: float = Field(0.5, ge=0, le=30)

    @field_validator("url")
    @classmethod
    def _usable(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("accepted are redis://, rediss:// and unix:// URLs")
        database = parts.path.strip("/")
        if parts.scheme != "unix" and database and not database.isdigit():
            raise ValueError(
                "the database after the host must be a number, as in redis://host:6379/0"
            )
        parse_url(url.get_secret_value())  # ValueError for a port or an option it cannot use
        return url

    def database(self, default: int = 0) -> int:
        """The database of the URL, else REDIS_DB, else `default`."""
        in_url = self._from_url().get("db")
        if in_url is not None:
            return int(in_url)
        return self.db if self.db is not None else default

    def connection_options(self, db: int) -> dict[str, Any]:
        """Keyword arguments for a redis-py connection pool to database `db`."""
        options: dict[str, Any] = {"host": self.host, "port": self.port, "username": self.username}
        if self.password is not None:
            options["password"] = self.password.get_secret_value()
        options |= self._from_url()
        options["db"] = db
        return options

    @property
    def address(self) -> str:
        """What logs call the server: never with credentials."""
        options = self.connection_options(db=0)
        return str(options["path"]) if "path" in options else f"{options['host']}:{options['port']}"

    def _from_url(self) -> dict[str, Any]:
        return dict(parse_url(self.url.get_secret_value())) if self.url is not None else {}
