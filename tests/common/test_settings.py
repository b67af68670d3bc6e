"""Variables with invalid and empty values, as the processes that read them report it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr

from common.pyportal_common.cache_handlers import RateLimit, RedisSettings
from common.pyportal_common.db.engines import open_engine
from common.pyportal_common.jobs.settings import WorkerSettings
from common.pyportal_common.settings import ConfigurationError, ServiceSettings, Settings

from .load import ROOT

COMMANDS = {
    "gunicorn": ["-m", "gunicorn", "--bind", "127.0.0.1:0", "wsgi"],
    "flask": ["-m", "flask", "--app", "wsgi", "routes"],
    "migrations": ["-m", "flask", "--app", "wsgi", "db", "upgrade"],
    "worker": ["-m", "app.worker"],
}


class Sample(Settings):
    count: int = Field(5, ge=1, le=9)
    at_least: int = Field(5, ge=3)
    seconds: float = Field(1, gt=0, le=30)
    flag: bool = False
    mode: Literal["text", "json"] = "text"
    url: str = Field("http://x", pattern="^https?://")
    optional: int | None = Field(None, ge=0)
    limit: RateLimit = RateLimit("limit", 5, 60)
    token: SecretStr = SecretStr("")
    text: str = ""


def error_of(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> str:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        Sample.load()
    return str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("COUNT", "x", "COUNT: must be an integer from 1 to 9, not 'x'"),
        ("COUNT", "10", "COUNT: must be an integer from 1 to 9, not '10'"),
        ("COUNT", "1.5", "COUNT: must be an integer from 1 to 9, not '1.5'"),
        ("AT_LEAST", "2", "AT_LEAST: must be an integer of at least 3, not '2'"),
        ("OPTIONAL", "-1", "OPTIONAL: must be an integer of at least 0, not '-1'"),
        ("SECONDS", "0", "SECONDS: must be a number above 0 and at most 30, not '0'"),
        ("SECONDS", "nan", "SECONDS: must be a number above 0 and at most 30, not 'nan'"),
        ("FLAG", "maybe", "FLAG: must be true or false, not 'maybe'"),
        ("MODE", "xml", "MODE: must be 'text' or 'json', not 'xml'"),
        ("URL", "ftp://x", "URL: must be a URL that begins with http:// or https://"),
        (
            "LIMIT",
            "often",
            'LIMIT: a rate limit is written "limit/seconds", as in 5/60 or 5/60;shadow',
        ),
    ],
)
def test_the_message_names_the_variable_and_the_accepted_values(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    assert error_of(monkeypatch, variable, value) == message


@pytest.mark.parametrize("variable", ["COUNT", "MODE", "URL", "FLAG", "LIMIT"])
def test_a_password_in_the_wrong_variable_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    message = error_of(monkeypatch, variable, "redis://portal:geheim@cache:6379")

    assert message.startswith(f"{variable}: ")
    assert "geheim" not in message


def test_all_faults_are_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNT", "x\ny")

    message = error_of(monkeypatch, "MODE", "xml")

    assert "COUNT" in message
    assert "MODE" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("settings", [Sample, ServiceSettings, RedisSettings, WorkerSettings])
def test_an_empty_variable_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: type[Settings]
) -> None:
    monkeypatch.chdir(tmp_path)
    prefix = settings.model_config.get("env_prefix", "")
    names = [f"{prefix}{name}".upper() for name in settings.model_fields]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    default = settings.load()

    (tmp_path / ".env").write_text("".join(f"{name}=\n" for name in names))
    assert settings.load() == default
    for name in names:
        monkeypatch.setenv(name, "")
    assert settings.load() == default


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_a_file_in_another_encoding_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoding: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("TEXT=Zürich\n", encoding)

    with pytest.raises(ConfigurationError) as caught:
        Sample.load()

    assert str(caught.value) == f"{tmp_path / '.env'}: must be text in UTF-8"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_in_utf_8_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoding: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("TEXT=Zürich\nCOUNT=7\n", encoding)

    assert (Sample.load().text, Sample.load().count) == ("Zürich", 7)


@pytest.mark.parametrize(
    "url",
    [
        "foo",
        "mysql://portal:geheim@db/users",
        "postgresql+psycopg2://portal:geheim@db/users",
        "postgresql+psycopg://portal:geheim@db:port/users",
    ],
)
def test_a_url_of_no_database_names_its_variable_and_not_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL: must be a URL such as") as caught:
        open_engine(url, pool_size=1)

    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("REDIS_PORT", "x", "REDIS_PORT: must be an integer from 1 to 65535, not 'x'"),
        pytest.param(
            "DATABASE_URL", "foo", "DATABASE_URL: must be a URL such as", marks=pytest.mark.slow
        ),
        pytest.param(
            "LOG_LEVEL", "loud", "LOG_LEVEL: must be 'DEBUG' or 'INFO' or", marks=pytest.mark.slow
        ),
    ],
)
def test_a_process_exits_with_one_line(
    tmp_path: Path, command: str, variable: str, value: str, message: str
) -> None:
    done = subprocess.run(
        [sys.executable, *COMMANDS[command]],
        cwd=ROOT / "usermanagement-service",
        env={**os.environ, "DATA_DIR": str(tmp_path), variable: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith(message)


@pytest.mark.parametrize("variable", ["LOG_LEVEL", "LOG_FORMAT", "BIND"])
def test_gunicorn_takes_an_empty_variable_for_its_default(tmp_path: Path, variable: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--check-config", "wsgi"],
        cwd=ROOT / "usermanagement-service",
        env={**os.environ, "DATA_DIR": str(tmp_path), variable: ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("seconds", ["-1", "0.001", "4000", "often"])
def test_seconds_between_comparisons_with_sql_are_checked(
    seconds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_AUDIT_SECONDS", seconds)

    with pytest.raises(ConfigurationError, match="CACHE_AUDIT_SECONDS"):
        ServiceSettings.load(_env_file=None)


@pytest.mark.parametrize("seconds", ["0", "0.5", "1"])
def test_zero_seconds_between_comparisons_are_none(
    seconds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_AUDIT_SECONDS", seconds)

    assert ServiceSettings.load(_env_file=None).cache_audit_seconds == float(seconds)
