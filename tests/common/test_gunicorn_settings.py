"""BIND, PORT and WEB_CONCURRENCY, as gunicorn understands them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.pyportal_common.gunicorn.healthcheck import ready
from common.pyportal_common.redis_server import free_port

from .load import ROOT
from .waiting import wait_until

SECONDS = 60

RUN = ("-m", "common.pyportal_common.gunicorn")


def run_gunicorn(
    folder: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    given = {
        name: value
        for name, value in os.environ.items()
        if name not in {"BIND", "PORT", "WEB_CONCURRENCY"}
    }
    return subprocess.run(
        [sys.executable, *RUN, *arguments, "--check-config", "--print-config", "wsgi"],
        cwd=ROOT / "usermanagement-service",
        env={**given, "DATA_DIR": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def setting(printed: str, name: str) -> str:
    """A line of the configuration that gunicorn prints."""
    (value,) = [
        line.partition("=")[2].strip()
        for line in printed.splitlines()
        if line.partition("=")[0].strip() == name
    ]
    return value


@pytest.mark.parametrize(
    ("variables", "bind", "workers"),
    [
        ({}, "0.0.0.0:5001", "2"),
        ({"BIND": "", "PORT": "", "WEB_CONCURRENCY": ""}, "0.0.0.0:5001", "2"),
        ({"PORT": "8080", "WEB_CONCURRENCY": "5"}, "0.0.0.0:8080", "5"),
        ({"PORT": "8080", "BIND": "127.0.0.1:81"}, "127.0.0.1:81", "2"),
        ({"BIND": "[::1]:81"}, "[::1]:81", "2"),
        ({"BIND": ":81"}, ":81", "2"),
    ],
    ids=["defaults", "empty", "port", "bind", "bind to IPv6", "bind to all"],
)
def test_gunicorn_listens_and_forks_as_the_variables_say(
    tmp_path: Path, variables: dict[str, str], bind: str, workers: str
) -> None:
    done = run_gunicorn(tmp_path, **variables)

    assert done.returncode == 0, done.stderr
    assert setting(done.stdout, "bind") == f"['{bind}']"
    assert setting(done.stdout, "workers") == workers


def test_arguments_win_over_variables(tmp_path: Path) -> None:
    arguments = ("--bind", "127.0.0.1:82", "--workers", "3")

    done = run_gunicorn(tmp_path, *arguments, PORT="8080", WEB_CONCURRENCY="5")

    assert setting(done.stdout, "bind") == "['127.0.0.1:82']"
    assert setting(done.stdout, "workers") == "3"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("WEB_CONCURRENCY", "many", "must be an integer from 1 to 64, not 'many'"),
        ("WEB_CONCURRENCY", "0", "must be an integer from 1 to 64, not '0'"),
        ("PORT", "http", "must be an integer from 1 to 65535, not 'http'"),
        ("PORT", "65536", "must be an integer from 1 to 65535, not '65536'"),
        *[
            ("BIND", value, "must be host:port or unix:path, or several of these with commas")
            for value in (
                "127.0.0.1:99999",
                "fd://3",
                "5001",
                "host",
                "unix:",
                "host:http",
                "::1:80",
                "a:1,",
                "http://host:80",
            )
        ],
    ],
)
def test_an_invalid_variable_ends_the_start_with_one_line(
    tmp_path: Path, variable: str, value: str, message: str
) -> None:
    done = run_gunicorn(tmp_path, **{variable: value})

    assert (done.returncode, done.stderr) == (1, f"{variable}: {message}\n")


@pytest.mark.slow
def test_at_sigusr2_another_master_takes_over_the_socket(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "pid"
    arguments = ("--bind", f"127.0.0.1:{port}", "--pid", str(file))
    with subprocess.Popen(
        [sys.executable, *RUN, *arguments, "wsgi"],
        cwd=ROOT / "usermanagement-service",
        env={**os.environ, "DATA_DIR": str(tmp_path)},
    ) as old:
        wait_until(lambda: answers(port), SECONDS)

        old.send_signal(signal.SIGUSR2)
        wait_until(lambda: file.with_name("pid.2").exists() and answers(port), SECONDS)
        new = int(file.with_name("pid.2").read_text())
        wait_until(lambda: len(children_of(new)) == 2, SECONDS)
        old.send_signal(signal.SIGQUIT)
        old.wait(SECONDS)

        assert answers(port)
        wait_until(lambda: file.exists() and file.read_text().strip() == str(new), SECONDS)
        os.kill(new, signal.SIGTERM)
        wait_until(lambda: not answers(port), SECONDS)


def answers(port: int) -> bool:
    return ready(port, "/livez")


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
