"""`make run` and `make redis` with a Redis that sentinels name."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings
from common.pyportal_common.settings import ConfigurationError
from common.pyportal_common.testing.sentinel import SentinelSetup
from local.portal import ROOT, LocalSettings, environment
from local.start_checks import check_redis, check_variables


@pytest.fixture(autouse=True)
def _no_other_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "REDIS_PORT", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalSettings:
    monkeypatch.setenv("REDIS_SENTINELS", "one:26379,two:26379")
    monkeypatch.setenv("REDIS_SENTINEL_MASTER", "portal")
    return LocalSettings.load(data_dir=tmp_path)


def test_the_processes_use_them(given: LocalSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    found = environment(given)
    for name in ("REDIS_URL", "REDIS_SENTINELS"):
        monkeypatch.delenv(name, raising=False)
        if name in found:
            monkeypatch.setenv(name, found[name])

    settings = RedisSettings.load(_env_file=None)

    assert given.given_redis == "REDIS_SENTINELS"
    assert settings.address == "portal of sentinels one:26379,two:26379"


@pytest.mark.usefixtures("given")
def test_a_url_beside_them_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")

    with pytest.raises(ConfigurationError, match="REDIS_SENTINELS"):
        check_variables(LocalSettings.load(data_dir=tmp_path))


def test_a_usable_master_is_accepted(
    sentinel_setup: SentinelSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_SENTINELS", sentinel_setup.addresses)

    check_redis(LocalSettings.load())


def test_make_redis_leads_to_the_master(
    sentinel_setup: SentinelSetup, connect: Callable[..., RedisClient], tmp_path: Path
) -> None:
    connect(sentinel_setup).set("k", "v")
    sentinels = {"REDIS_SENTINELS": sentinel_setup.addresses, "DATA_DIR": str(tmp_path)}

    shown = subprocess.run(
        [sys.executable, "-m", "local", "redis"],
        cwd=ROOT,
        env={**os.environ, **sentinels, "args": "get k"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (shown.returncode, shown.stdout.strip()) == (0, "v")
