"""The REDIS_* variables."""

import re

import pytest

from common.pyportal_common.cache_handlers import RedisSettings
from common.pyportal_common.cache_handlers.client.settings import SessionSettings
from common.pyportal_common.settings import ConfigurationError

from .load import ROOT


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "HOST", "PORT", "DB", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"REDIS_{name}", raising=False)


def load() -> RedisSettings:
    return RedisSettings.load(_env_file=None)


def test_defaults() -> None:
    settings = load()

    options = settings.connection_options(0)
    assert (options["host"], options["port"], options["db"]) == ("redis", 6379, 0)
    assert options["password"] is None
    assert settings.database() == 0


def test_single_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"host": "cache.internal", "port": 6380, "db": 2, "password": "geheim"}
    for name, value in given.items():
        monkeypatch.setenv(f"REDIS_{name.upper()}", str(value))

    options = load().connection_options(load().database())

    assert {name: options[name] for name in given} == given


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "")
    monkeypatch.setenv("REDIS_PORT", "")

    assert load().password is None
    assert load().port == 6379


def test_the_url_wins_over_single_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "elsewhere")
    monkeypatch.setenv(
        "REDIS_URL", "rediss://portal:geheim@cache.internal:6390/4?socket_keepalive=1"
    )

    options = load().connection_options(load().database())

    account = {"username": "portal", "password": "geheim"}
    expected = {"host": "cache.internal", "port": 6390, "db": 4, **account}
    assert {name: options[name] for name in expected} == expected
    assert options["connection_class"].__name__ == "TlsConnection"


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("REDIS_PORT", "70000", "65535"),
        ("REDIS_PORT", "redis", "integer"),
        ("REDIS_DB", "-1", "at least 0"),
        ("REDIS_URL", "http://geheim@redis", "redis://, rediss:// or unix://"),
        ("REDIS_URL", "redis://:geheim@redis/first", "must be a number"),
        ("REDIS_URL", "redis://:geheim@redis/0?colour=red", "option"),
        ("REDIS_URL", "redis://:geheim#more@redis/0", "percent-encoded"),
        ("REDIS_URL", "redis://portal:geheim?more@redis/0", "percent-encoded"),
        ("REDIS_URL", "redis://portal:geheim℀@redis/0", "percent-encoded"),
        ("REDIS_URL", "redis://:geheim@redis:port/0", "port"),
        ("REDIS_URL", "redis://:geheim@redis/²", "must be a number"),
        ("REDIS_URL", "redis://:geheim@redis/0?protocol=9", "2 or 3"),
        ("REDIS_URL", "redis://:geheim@redis/0?encoding=foo", "option"),
        ("REDIS_URL", "redis://:geheim@redis/0?credential_provider=geheim", "option"),
        ("REDIS_URL", "redis://:geheim@redis..internal/0", "host name"),
        ("REDIS_URL", "redis://:geheim@redis/0?max_connections=many", "options"),
        ("REDIS_HOST", "redis..internal", "host name"),
        ("REDIS_HOST", "a redis", "host name"),
        ("REDIS_HOST", "x" * 64, "host name"),
        ("REDIS_TLS_CA_FILE", "~nobody-has-this-name/ca.pem", "home directory"),
        ("REDIS_READ_TIMEOUT", "0", "above 0"),
    ],
)
def test_the_error_names_the_variable_and_the_accepted_values(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, accepted: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError) as caught:
        load()

    assert variable in str(caught.value)
    assert accepted in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_a_file_whose_name_is_not_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_TLS", "true")
    monkeypatch.setenv("REDIS_TLS_CA_FILE", "/ca\udcff.pem")

    with pytest.raises(ConfigurationError, match="REDIS_TLS_CA_FILE: must be text in UTF-8"):
        load()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "geheim")
    monkeypatch.setenv("REDIS_URL", "redis://:geheim@cache.internal:6390/4")

    assert "geheim" not in repr(load())
    assert load().address == "cache.internal:6390"


def test_options_in_the_url_do_not_change_the_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://redis/0?socket_timeout=60&decode_responses=no")

    options = load().connection_options(0)

    assert options["socket_timeout"] == 0.5
    assert options["decode_responses"] is True


def test_docs_list_every_variable_with_its_default() -> None:
    page = (ROOT / "docs" / "redis.md").read_text("utf-8")
    rows = re.findall(r"^\| `((?:SESSION_)?REDIS_\w+)` \|(.*?)\|", page, re.MULTILINE)

    defaults = {}
    for settings in (RedisSettings, SessionSettings):
        prefix = settings.model_config["env_prefix"]
        for name, field in settings.model_fields.items():
            defaults[f"{prefix}{name}".upper()] = "" if field.default is None else field.default
    described = {
        "REDIS_DB": "the service's",
        "REDIS_TLS": "false",
        "REDIS_TLS_CA_FILE": "the system's",
        "REDIS_TLS_CHECK_HOSTNAME": "true",
        "SESSION_REDIS_URL": "the above",
    }

    assert {name: text.strip("` ") for name, text in rows} == {
        name: described.get(name, str(default)) for name, default in defaults.items()
    }
