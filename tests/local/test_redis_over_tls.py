"""The targets beside `make run`, on a Redis that speaks TLS."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from common.pyportal_common.testing.certificates import TlsRedisServer
from common.pyportal_common.testing.plugin import missing
from local.portal import ROOT, LocalSettings
from local.start_checks import check_redis, check_variables

Variables = dict[str, str]


@pytest.fixture
def variables(start_tls_redis: Callable[..., TlsRedisServer]) -> Variables:
    """The environment for a server that requires certificates of its clients."""
    given = start_tls_redis(mutual=True).client_variables()
    return {f"REDIS_{name}".upper(): str(value) for name, value in given.items()}


@pytest.mark.slow
@pytest.mark.parametrize("program", ["redis-cli", "the substitute"])
def test_make_redis_speaks_tls(program: str, variables: Variables) -> None:
    search = os.environ["PATH"] if program == "redis-cli" else ""
    if program == "redis-cli" and shutil.which(program) is None:
        missing(program)

    done = subprocess.run(
        [sys.executable, "-m", "local", "redis"],
        cwd=ROOT,
        env={**os.environ, **variables, "PATH": search, "args": "ECHO 'over TLS'"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "over TLS\n", "")


def test_make_run_accepts_a_server_with_tls(
    variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    check_redis(LocalSettings.load())


def test_make_run_names_what_is_wrong_with_a_certificate(
    variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        if name not in {"REDIS_TLS_CERT_FILE", "REDIS_TLS_KEY_FILE"}:
            monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as caught:
        check_redis(LocalSettings.load())

    assert "See REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE" in str(caught.value)


def test_make_run_does_not_start_a_server_without_tls_beside_services_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_TLS", "true")

    with pytest.raises(SystemExit, match="REDIS_TLS: the Redis of make run has no TLS"):
        check_variables(LocalSettings.load())
