"""docker-compose.tls.yml and the script of its certificates, without Docker."""

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from sqlalchemy import create_engine, text

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings
from common.pyportal_common.redis_server import free_port, redis_server_on_path
from common.pyportal_common.testing.certificates import Certificate
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres

from .common.waiting import wait_until

ROOT = Path(__file__).parent.parent
MOUNTED = "/run/tls/"


def services_in(file: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / file).read_text("utf-8").replace("!reset", ""))["services"])


OVERLAY = services_in("docker-compose.tls.yml")
VARIABLES: dict[str, str | None] = OVERLAY["usermanagement-service"]["environment"]
GIVEN = {name: value for name, value in VARIABLES.items() if value is not None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the script creates."""
    folder = tmp_path_factory.mktemp("tls") / "certificates"
    create_certificates(folder)
    return folder


def create_certificates(folder: Path, *names: str) -> None:
    if shutil.which("openssl") is None:
        missing("openssl")
    subprocess.run(
        ["sh", ROOT / "deploy" / "tls" / "certificates.sh", *names],
        env={**os.environ, "TLS_FOLDER": str(folder)},
        check=True,
    )


def client_of(port: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> RedisClient:
    """A client with the variables of the overlay."""
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value.replace(MOUNTED, f"{folder}/"))
    monkeypatch.delenv("REDIS_URL", raising=False)
    given = {"host": "localhost", "port": port, "password": "a secret"}
    patient = {"connect_timeout": 30, "read_timeout": 30}
    return RedisClient.connect(RedisSettings.load(_env_file=None, **given, **patient), db=0)


@pytest.fixture
def port(folder: Path, tmp_path: Path) -> Iterator[int]:
    """The port of the Redis that redis/serve.sh starts with the overlay's options."""
    if redis_server_on_path() is None:
        missing("redis-server with TLS")
    port = free_port()
    mounted = tmp_path / "etc"
    mounted.mkdir()
    for name in ("serve.sh", "redis.conf"):
        shutil.copy(ROOT / "redis" / name, mounted)
    shell, script, *options = OVERLAY["redis"]["command"]
    options[options.index("--tls-port") + 1] = str(port)
    options = [option.replace(MOUNTED, f"{folder}/") for option in options]
    process = subprocess.Popen(
        [shell, mounted / Path(script).name, *options, "--bind", "127.0.0.1"],
        cwd=tmp_path,
        env={**os.environ, "REDIS_PASSWORD": "a secret"},
        stdout=subprocess.DEVNULL,
    )
    yield port
    process.kill()
    process.wait()


def test_the_redis_of_the_overlay_accepts_its_services(
    port: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(port, folder, monkeypatch)

    wait_until(client.ping, seconds=60)
    client.set("a", "a", ttl=60)

    assert client.get("a") == "a"
    assert client.execute("CONFIG", "GET", "appendonly") == ["appendonly", "yes"]
    client.breaker.close()
    client.close()


def test_every_service_that_uses_redis_has_the_variables() -> None:
    using = {
        name
        for name, service in services_in("docker-compose.yml").items()
        if "REDIS_HOST" in service.get("environment", {})
    }

    assert len(using) == 9
    for name in using:
        assert OVERLAY[name] == OVERLAY["usermanagement-service"]
    for variable in VARIABLES:
        is_ours = variable.removeprefix("REDIS_").lower() in RedisSettings.model_fields
        assert is_ours or variable in {"PGSSLMODE", "PGSSLROOTCERT"}


def test_every_mounted_file_is_one_that_the_script_creates(folder: Path) -> None:
    volumes = [volume for service in OVERLAY.values() for volume in service.get("volumes", [])]

    for volume in volumes:
        file, target, mode = volume.split(":")
        assert (folder / Path(file).name).is_file()
        assert Path(target).name == Path(file).name
        assert mode == "ro"


@pytest.mark.slow
def test_the_certificate_of_the_database_is_accepted(folder: Path) -> None:
    binaries = postgres_binaries()
    if binaries is None:
        missing("PostgreSQL")
    certificate = Certificate(folder / "db.pem", folder / "db.key")
    with running_postgres(binaries, certificate=certificate) as url:
        options = f"sslmode={GIVEN['PGSSLMODE']}&sslrootcert={folder / 'ca.pem'}"
        engine = create_engine(f"{url}?{options}")

        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
        engine.dispose()


class TestCertificates:
    def test_keys_are_kept_from_other_users_by_the_folder(self, folder: Path) -> None:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "ca.key").stat().st_mode & 0o777 == 0o600

    def test_they_are_valid_by_the_strict_rules_of_python_3_13(self, folder: Path) -> None:
        files = [str(folder / name) for name in ("ca.pem", "redis.pem", "db.pem")]

        subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", *files], check=True)

    def test_they_can_be_renewed_and_the_authority_stays(self, tmp_path: Path) -> None:
        folder = tmp_path / "certificates"
        create_certificates(folder)
        authority, before = (folder / "ca.pem").read_text(), (folder / "redis.pem").read_text()

        create_certificates(folder, "redis", "client")

        assert (folder / "ca.pem").read_text() == authority
        assert (folder / "redis.pem").read_text() != before
        ssl.create_default_context(cafile=folder / "ca.pem").load_cert_chain(
            folder / "client.pem", folder / "client.key"
        )
