"""The REDIS_SENTINEL* variables and redis+sentinel:// URLs."""

import pytest

from common.pyportal_common.cache_handlers import RedisSettings, SessionSettings
from common.pyportal_common.cache_handlers.client.sentinel_addresses import Sentinels
from common.pyportal_common.cache_handlers.client.tls import Tls
from common.pyportal_common.extension.configuration import load_from
from common.pyportal_common.settings import ConfigurationError
from common.pyportal_common.testing.certificates import Authority

URL = "redis+sentinel://portal:geheim@one:26379,two/portal-redis/2"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("URL", "HOST", "PORT", "DB", "USERNAME", "PASSWORD", "SENTINELS", "SENTINEL_MASTER")
    for name in names:
        monkeypatch.delenv(f"REDIS_{name}", raising=False)


def load(**given: object) -> RedisSettings:
    return RedisSettings.load(_env_file=None, **given)


def test_sentinels_and_the_name_of_the_master(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SENTINELS", "one:26379, two, [::1]:26380")
    monkeypatch.setenv("REDIS_SENTINEL_MASTER", "portal")

    addresses = (("one", 26379), ("two", 26379), ("::1", 26380))
    assert load().by_sentinel == Sentinels(addresses, "portal")


def test_the_account_of_the_servers_is_not_sent_to_sentinels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_SENTINELS", "one")
    monkeypatch.setenv("REDIS_USERNAME", "portal")
    monkeypatch.setenv("REDIS_PASSWORD", "of-servers")
    monkeypatch.setenv("REDIS_SENTINEL_PASSWORD", "of-sentinels")

    options, of_sentinels = load().connection_options(1), load().sentinel_options()

    assert (options["username"], options["password"], options["db"]) == ("portal", "of-servers", 1)
    assert (of_sentinels["username"], of_sentinels["password"]) == (None, "of-sentinels")


def test_a_url_has_all_of_it() -> None:
    settings = load(url=URL)

    assert settings.by_sentinel == Sentinels((("one", 26379), ("two", 26379)), "portal-redis")
    assert settings.database() == 2
    options = settings.connection_options(2)
    assert (options["username"], options["password"]) == ("portal", "geheim")
    assert "host" not in options


def test_a_url_may_leave_out_the_master_and_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SENTINEL_MASTER", "portal")
    monkeypatch.setenv("REDIS_DB", "1")

    settings = load(url="redis+sentinel://one")

    assert settings.by_sentinel == Sentinels((("one", 26379),), "portal")
    assert settings.database() == 1


@pytest.mark.parametrize("path", ["/3", "//3"])
def test_a_url_may_leave_out_the_master_alone(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("REDIS_SENTINEL_MASTER", "portal")

    settings = load(url=f"redis+sentinel://one{path}")

    assert settings.by_sentinel == Sentinels((("one", 26379),), "portal")
    assert settings.database() == 3


def test_the_connections_to_sentinels_are_encrypted_if_those_to_servers_are(
    authority: Authority,
) -> None:
    tls = {"tls": True, "tls_ca_file": authority.file}

    by_variable = load(url=URL, **tls)
    by_url = load(url=URL.replace("redis+", "rediss+") + f"?ssl_ca_certs={authority.file}")
    only_servers = load(url=URL, sentinel_tls=False, **tls)
    only_sentinels = load(url=URL, sentinel_tls=True, tls_ca_file=authority.file)

    for settings in (by_variable, by_url):
        assert settings.encryption == settings.encryption_of_sentinels == Tls(authority.file)
    assert only_servers.encryption == Tls(authority.file)
    assert "connection_class" not in only_servers.sentinel_options()
    assert only_sentinels.encryption is None
    assert only_sentinels.sentinel_options()["tls"] == Tls(authority.file)


def test_the_address_for_logs_has_no_password() -> None:
    settings = load(url=URL)

    assert settings.address == "portal-redis of sentinels one:26379,two:26379"
    assert "geheim" not in repr(settings)


@pytest.mark.parametrize("other", ["redis://redis:6379", URL, "unix:///run/redis"])
def test_a_url_and_sentinels_contradict_each_other(
    monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    monkeypatch.setenv("REDIS_URL", other)
    monkeypatch.setenv("REDIS_SENTINELS", "one:26379")

    with pytest.raises(ConfigurationError, match=r"REDIS_SENTINELS: .* together with REDIS_URL"):
        load()


@pytest.mark.parametrize(
    "text",
    [
        "one:port",
        "one:99999",
        "one:0",
        "one,,two",
        "redis://one",
        "a@one",
        ":1",
        "one two",
        "one..two",
        ".",
        "x" * 64,
    ],
)
def test_addresses_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("REDIS_SENTINELS", text)

    with pytest.raises(ConfigurationError, match="REDIS_SENTINELS: must be host:port of each"):
        load()


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("redis+sentinel://one:26379/portal/first", "number of the database"),
        ("redis+sentinel://:geheim@/portal/0", "host:port of each sentinel"),
        ("redis+sentinel://one/portal/0?colour=red", "option"),
        ("sentinel://one/portal/0", "redis+sentinel://"),
        ("redis+sentinel://one/portal/²", "number of the database"),
        ("redis+sentinel://u:geheim@one,u:geheim@two/portal/0", "one account"),
        ("redis+sentinel://u:geheim#more@one/portal/0", "percent-encoded"),
        ("redis+sentinel://u:geheim℀@one/portal/0", "percent-encoded"),
    ],
)
def test_a_wrong_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str, accepted: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)

    with pytest.raises(ConfigurationError) as caught:
        load()

    assert "REDIS_URL" in str(caught.value)
    assert accepted in str(caught.value)
    assert "geheim" not in str(caught.value)


class TestSessions:
    """SESSION_REDIS_URL names a server of its own."""

    def test_may_be_by_sentinels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REDIS_URL", "redis://caches")
        monkeypatch.setenv("SESSION_REDIS_URL", URL)

        server, database = SessionSettings.load(_env_file=None).server()

        assert server.by_sentinel is not None
        assert database == 2

    def test_may_be_a_plain_server_beside_sentinels_for_caches(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_SENTINELS", "one")
        monkeypatch.setenv("SESSION_REDIS_URL", "redis://sessions/3")

        server, database = SessionSettings.load(_env_file=None).server()

        assert server.by_sentinel is None
        assert (server.address, database) == ("sessions:6379", 3)


class TestConfigurationOfAnApp:
    def test_its_sentinels_win_over_a_url_in_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_URL", "redis://elsewhere")

        settings = load_from({"REDIS_SENTINELS": "one"})(RedisSettings, _env_file=None)

        assert settings.by_sentinel == Sentinels((("one", 26379),), "mymaster")

    @pytest.mark.parametrize("config", [{"REDIS_URL": "redis://own"}, {"REDIS_HOST": "own"}])
    def test_its_server_wins_over_sentinels_in_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, config: dict[str, str]
    ) -> None:
        monkeypatch.setenv("REDIS_SENTINELS", "one")

        settings = load_from(config)(RedisSettings, _env_file=None)

        assert settings.address == "own:6379"
