"""The commands about Redis: check, and a server for development."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask.cli import FlaskGroup

from common.pyportal_common.cli import portal
from common.pyportal_common.redis_server import RedisServer, answers_ping, free_port

from .load import ROOT
from .waiting import wait_until


@pytest.fixture
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without .env."""
    monkeypatch.chdir(tmp_path)


def check(**variables: str) -> Result:
    return CliRunner().invoke(portal, ["check"], env=variables)


@pytest.mark.usefixtures("in_empty_folder")
def test_a_server_that_can_be_used_is_reported(redis_server: RedisServer) -> None:
    result = check(REDIS_URL=redis_server.url)

    assert result.exit_code == 0
    assert f"Redis at 127.0.0.1:{redis_server.port} can be used" in result.output


@pytest.mark.usefixtures("in_empty_folder")
def test_a_server_that_is_not_there_ends_check_with_1() -> None:
    port = free_port()

    result = check(REDIS_URL=f"redis://127.0.0.1:{port}")

    assert result.exit_code == 1
    assert f"127.0.0.1:{port}" in result.output
    assert "can be used" not in result.output


@pytest.mark.usefixtures("in_empty_folder")
def test_a_wrong_variable_ends_check_with_its_name() -> None:
    result = check(REDIS_PORT="redis")

    assert result.exit_code == 1
    assert "REDIS_PORT" in str(result.exception or result.output)


@pytest.mark.usefixtures("in_empty_folder")
def test_the_server_of_sessions_is_checked_as_well(redis_server: RedisServer) -> None:
    port = free_port()

    result = check(REDIS_URL=redis_server.url, SESSION_REDIS_URL=f"redis://127.0.0.1:{port}")

    assert result.exit_code == 1
    assert f"127.0.0.1:{port}" in result.output
    assert "can be used" not in result.output


@pytest.mark.usefixtures("in_empty_folder")
def test_the_configuration_of_the_app_wins(redis_server: RedisServer) -> None:
    Path("wsgi.py").write_text(
        "from flask import Flask\n"
        "app = Flask('shop')\n"
        f"app.config['REDIS_URL'] = {redis_server.url!r}\n"
    )
    group = FlaskGroup()
    group.add_command(portal)

    result = CliRunner().invoke(
        group, ["portal", "check"], env={"REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    )

    assert result.exit_code == 0, result.output
    assert f"Redis at 127.0.0.1:{redis_server.port} can be used" in result.output


def test_a_server_for_development_runs_until_it_is_interrupted(redis_binary: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "common.pyportal_common", "redis", "--port", str(port)]
    path = f"{redis_binary.parent}:{os.environ['PATH']}"
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PATH": path}, stdout=subprocess.DEVNULL
    ) as server:
        try:
            wait_until(lambda: answers_ping(port))
        finally:
            server.terminate()

    assert not answers_ping(port)
