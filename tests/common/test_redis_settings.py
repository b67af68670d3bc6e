"""The REDIS_* variables."""

import pytest

from common.pyportal_common.cache_handlers import RedisSettings
from common.pyportal_common.settings import ConfigurationError


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
    monkeypatch.setenv("REDIS_HOST", "cache.internal")
    monkeypatch.setenv("REDIS_PORT", "6380")
    monkeypatch.setenv("REDIS_DB", "2")
    monkeypatch.setenv("REDIS_PASSWORD", "geheim")

    options = load().connection_options(load().database())

    assert options["host"] == "cache.internal"
    assert options["port"] == 6380
    assert options["db"] == 2
    assert options["password"] == "geheim"


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

    assert options["host"] == "cache.internal"
    assert options["port"] == 6390
    assert options["username"] == "portal"
    assert options["password"] == "geheim"
    assert options["db"] == 4
    assert options["connection_class"].__name__ == "SSLConnection"


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("REDIS_PORT", "70000", "65535"),
        ("REDIS_PORT", "redis", "integer"),
        ("REDIS_DB", "-1", "greater than or equal to 0"),
        ("REDIS_URL", "http://geheim@redis", "redis://, rediss:// and unix://"),
        ("REDIS_URL", "redis://:geheim@redis/first", "must be a number"),
        ("REDIS_URL", "redis://:geheim@redis/0?colour=red", "option"),
        ("REDIS_READ_TIMEOUT", "0", "greater than 0"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, accepted: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError) as caught:
        load()

    assert variable in str(caught.value)
    assert accepted in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_secrets_show_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "geheim")
    monkeypatch.setenv("REDIS_URL", "redis://:geheim@cache.internal:6390/4")

    assert "geheim" not in repr(load())
    assert load().address == "cache.internal:6390"


def test_options_of_the_url_do_not_loosen_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://redis/0?socket_timeout=60&decode_responses=no")

    options = load().connection_options(0)

    assert options["socket_timeout"] == 0.5
    assert options["decode_responses"] is True
