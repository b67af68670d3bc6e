"""REDIS_TLS and REDIS_TLS_*: what is read, and what is refused at the start."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.pyportal_common.cache_handlers import RedisSettings, SessionSettings
from common.pyportal_common.settings import ConfigurationError
from common.pyportal_common.testing.certificates import Authority
from common.pyportal_common.testing.plugin import missing

Refusal = Callable[..., str]  # the fixture `refusal`


def load(**given: Any) -> RedisSettings:
    return RedisSettings.load(_env_file=None, **given)


@pytest.fixture
def other_authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "other")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("REDIS_", "SESSION_REDIS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def refusal() -> Refusal:
    def of(**given: Any) -> str:
        with pytest.raises(ConfigurationError) as caught:
            load(**given)
        return str(caught.value)

    return of


def test_without_a_variable_nothing_is_encrypted() -> None:
    assert load().encryption is None
    assert load(url="redis://redis").encryption is None


@pytest.mark.parametrize("given", [{}, {"url": "redis://redis/1"}, {"url": "rediss://redis"}])
def test_the_variable_encrypts_whatever_names_the_server(given: dict[str, str]) -> None:
    options = load(tls=True, **given).connection_options(0)

    assert options["connection_class"].__name__ == "TlsConnection"


def test_sessions_may_have_a_server_with_tls_beside_caches_without(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_REDIS_URL", "rediss://sessions/3")
    monkeypatch.setenv("REDIS_TLS_CA_FILE", str(authority.file))

    settings, db = SessionSettings.load(_env_file=None).server()

    assert db == 3
    assert settings.encryption is not None
    assert settings.encryption.ca_file == authority.file
    assert load().encryption is None


def test_options_of_the_url_win_over_variables(
    authority: Authority, other_authority: Authority
) -> None:
    url = f"rediss://redis?ssl_ca_certs={other_authority.file}&ssl_check_hostname=false"

    encryption = load(url=url, **authority.variables()).encryption

    assert encryption is not None
    assert (encryption.ca_file, encryption.check_hostname) == (other_authority.file, False)


@pytest.mark.parametrize("value", ["none", "optional"])
def test_verification_cannot_be_turned_off(value: str, refusal: Refusal) -> None:
    message = refusal(url=f"rediss://:geheim@redis?ssl_cert_reqs={value}")

    assert message.startswith("REDIS_URL: ssl_cert_reqs must be required")
    assert "geheim" not in message


def test_the_url_of_the_sessions_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_REDIS_URL", "rediss://sessions?ssl_cert_reqs=none")

    with pytest.raises(ConfigurationError, match=r"^SESSION_REDIS_URL: ssl_cert_reqs must be"):
        SessionSettings.load(_env_file=None).server()


@pytest.mark.parametrize(
    "option", ["ssl_exclude_verify_flags=VERIFY_X509_STRICT", "ssl_ciphers=NULL", "ssl_ca=x"]
)
def test_other_options_of_tls_are_refused(option: str, refusal: Refusal) -> None:
    assert "unknown option" in refusal(url=f"rediss://redis?{option}")


def test_the_host_name_is_checked_unless_the_authority_is_ones_own(refusal: Refusal) -> None:
    message = refusal(tls=True, tls_check_hostname=False)

    assert "REDIS_TLS_CHECK_HOSTNAME: false needs REDIS_TLS_CA_FILE" in message


def test_a_unix_socket_has_no_tls(refusal: Refusal) -> None:
    assert refusal(tls=True, url="unix:///run/redis").startswith("REDIS_TLS: must be false")


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
def test_a_missing_file_is_named(name: str, authority: Authority, refusal: Refusal) -> None:
    files = authority.variables(authority.issue("client"))

    message = refusal(**files | {f"tls_{name}": "nowhere.pem"})

    nowhere = Path("nowhere.pem").absolute()
    assert message == f"REDIS_TLS_{name.upper()}: {nowhere}: No such file or directory"


@pytest.mark.parametrize("given", ["cert_file", "key_file"])
def test_a_certificate_needs_its_key(given: str, authority: Authority, refusal: Refusal) -> None:
    message = refusal(tls=True, **{f"tls_{given}": authority.file})

    assert message == "REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE must be set together"


def test_the_key_of_another_certificate_is_refused(authority: Authority, refusal: Refusal) -> None:
    one, other = authority.issue("one"), authority.issue("other")
    files = authority.variables(one)

    message = refusal(**files | {"tls_key_file": other.key})

    assert message == f"REDIS_TLS_KEY_FILE: {other.key} is not the key of {one.file}"


def test_a_file_without_certificates_is_refused(authority: Authority, refusal: Refusal) -> None:
    key = authority.issue("one").key

    assert "REDIS_TLS_CA_FILE" in refusal(tls=True, tls_ca_file=key)
    assert "must contain a certificate and its key in PEM" in refusal(
        tls=True, tls_cert_file=key, tls_key_file=key
    )


def test_nobody_is_asked_for_the_passphrase_of_a_key(
    authority: Authority, refusal: Refusal, tmp_path: Path
) -> None:
    certificate, locked = authority.issue("one"), tmp_path / "locked.key"
    openssl = shutil.which("openssl")
    if openssl is None:
        missing("openssl")
    subprocess.run(
        [openssl, "pkey", "-in", certificate.key, "-aes256", "-passout", "pass:x", "-out", locked],
        check=True,
    )

    message = refusal(**authority.variables(certificate) | {"tls_key_file": locked})

    assert "without a passphrase" in message
