"""Secrets in files, as Docker and Kubernetes mount them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from common.pyportal_common.cache_handlers import RedisSettings, SessionSettings
from common.pyportal_common.extension.configuration import load_from
from common.pyportal_common.settings import ConfigurationError, ServiceSettings, Settings

SECRET = "geheim 'p%40ss\\w$rd#"


class Sample(Settings):
    token: SecretStr = SecretStr("")
    key: SecretStr | None = None
    name: str = ""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a secret and a line break, as editors write it."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    return file


def error_of(settings: type[Settings] = Sample) -> str:
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_is_read_from_a_file_without_a_line_break_at_its_end(
    monkeypatch: pytest.MonkeyPatch, file: Path, ending: str
) -> None:
    file.write_bytes(f"{SECRET} {ending}".encode())
    monkeypatch.setenv("TOKEN_FILE", str(file))

    assert Sample.load().token.get_secret_value() == f"{SECRET} "


@pytest.mark.parametrize("secret", ["one\rtwo", "one\ntwo\n", "one\r\ntwo"])
def test_other_line_breaks_are_parts_of_a_secret(
    monkeypatch: pytest.MonkeyPatch, file: Path, secret: str
) -> None:
    file.write_bytes(f"{secret}\n".encode())
    monkeypatch.setenv("TOKEN_FILE", str(file))

    assert Sample.load().token.get_secret_value() == secret


def test_an_optional_secret_is_read_from_a_file_that_the_env_file_names(file: Path) -> None:
    Path(".env").write_text(f"KEY_FILE={file.name}\n")

    assert Sample.load().key == SecretStr(SECRET)


def test_a_byte_order_mark_is_no_part_of_a_secret(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    file.write_text(SECRET, "utf-8-sig")
    monkeypatch.setenv("TOKEN_FILE", str(file))

    assert Sample.load().token.get_secret_value() == SECRET


@pytest.mark.parametrize("in_env_file", ["TOKEN", "TOKEN_FILE", None])
def test_a_secret_and_its_file_cannot_both_be_set(
    monkeypatch: pytest.MonkeyPatch, file: Path, in_env_file: str | None
) -> None:
    values = {"TOKEN": SECRET, "TOKEN_FILE": str(file)}
    for name, value in values.items():
        if name == in_env_file:
            Path(".env").write_text(f'{name}="{value}"\n')
        else:
            monkeypatch.setenv(name, value)

    assert error_of() == "TOKEN_FILE: cannot be set together with TOKEN: remove one of them"


@pytest.mark.parametrize("name", ["TOKEN", "TOKEN_FILE"])
def test_an_empty_variable_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch, file: Path, name: str
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("TOKEN_FILE", str(file))
    monkeypatch.setenv(name, "")

    assert Sample.load().token.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the file cannot be read: No such file or directory"),
        (b"", "the file is empty"),
        (b"\n", "the file is empty"),
        (SECRET.encode("utf-16"), "the file must be text in UTF-8"),
        (SECRET.encode("utf-16-le"), "the file must be text in UTF-8"),
        (f"{SECRET} Zürich".encode("latin-1"), "the file must be text in UTF-8"),
        (b"x" * 65_537, "the file is longer than 65536 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, file: Path, content: bytes | None, message: str
) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    monkeypatch.setenv("TOKEN_FILE", str(file))

    assert error_of() == f"TOKEN_FILE: {message}"


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_regular_file_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    paths = {"folder": tmp_path, "pipe": tmp_path / "pipe", "device": Path("/dev/zero")}
    monkeypatch.setenv("TOKEN_FILE", str(paths[kind]))

    assert error_of() == "TOKEN_FILE: must be a regular file"


def test_a_link_to_a_file_is_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path
) -> None:
    """Kubernetes mounts secrets so."""
    (tmp_path / "link").symlink_to(file)
    monkeypatch.setenv("TOKEN_FILE", str(tmp_path / "link"))

    assert Sample.load().token.get_secret_value() == SECRET


def test_a_secret_in_place_of_a_path_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_FILE", SECRET)

    assert error_of() == "TOKEN_FILE: the file cannot be read: No such file or directory"


def test_an_invalid_secret_in_a_file_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.setenv("SERVICE_TOKENS_FILE", str(file))

    assert error_of(ServiceSettings).startswith("SERVICE_TOKENS: must be name:token pairs")


def test_an_argument_takes_precedence_and_its_file_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN_FILE", "missing")

    assert Sample.load(token="given").token.get_secret_value() == "given"


def test_only_secrets_may_be_in_files(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setenv("NAME_FILE", str(file))

    assert Sample.load().name == ""


@pytest.mark.parametrize(
    ("settings", "variable", "field", "secret"),
    [
        (RedisSettings, "REDIS_PASSWORD", "password", SECRET),
        (RedisSettings, "REDIS_SENTINEL_PASSWORD", "sentinel_password", SECRET),
        (RedisSettings, "REDIS_URL", "url", "redis://:geheim@cache:6380/3"),
        (SessionSettings, "SESSION_REDIS_URL", "redis_url", "redis://sessions/0"),
        (ServiceSettings, "DATABASE_URL", "database_url", "postgresql://users:geheim@db/users"),
        (ServiceSettings, "SERVICE_TOKENS", "service_tokens", "notification:0123456789abcdef"),
    ],
)
def test_the_secrets_of_the_services_may_be_in_files(
    monkeypatch: pytest.MonkeyPatch,
    file: Path,
    settings: type[Settings],
    variable: str,
    field: str,
    secret: str,
) -> None:
    file.write_text(secret)
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(f"{variable}_FILE", str(file))

    assert getattr(settings.load(), field) == SecretStr(secret)


def test_files_of_certificates_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_TLS_CA_FILE", "ca.pem")

    assert RedisSettings.load().tls_ca_file == Path("ca.pem").absolute()


@pytest.mark.parametrize("given", ["REDIS_HOST", "REDIS_URL", "REDIS_SENTINELS"])
def test_a_file_does_not_win_over_the_server_of_an_app(
    monkeypatch: pytest.MonkeyPatch, file: Path, given: str
) -> None:
    monkeypatch.setenv("REDIS_URL_FILE", str(file))
    value = "redis://cache:6379" if given == "REDIS_URL" else "cache"

    settings = load_from({given: value})(RedisSettings)

    assert settings.address.startswith("cache:") or "cache:26379" in settings.address


def test_a_process_exits_with_one_line(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "routes"],
        cwd=root / "usermanagement-service",
        env={"DATA_DIR": str(tmp_path), "SERVICE_TOKEN_FILE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == "SERVICE_TOKEN_FILE: must be a regular file\n"
