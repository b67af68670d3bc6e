"""Redis under supervisor: its data is checked after a failed start, and only then."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from local import redis_check, redis_start
from local.portal import LocalSettings, RedisBinary
from local.processes import child_environment
from local.redis_start import FAILED
from local.supervisord import _note_failure

from ..portal_api import wait_until

# A server that refuses a folder with data, like Redis, and reports to the file `started` otherwise.
SERVER = """
if [ "$2" = "--dir" ] && [ -e "$3/data" ]; then
    while [ "$1" != "--logfile" ]; do shift; done
    echo "1:M 1 Jan # Bad file format" > "$2"
    exit 1
fi
[ $# = 1 ] && echo "$@" >> started
sleep 0.2
"""


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    settings = LocalSettings.load(data_dir=tmp_path)
    settings.run_dir.mkdir()
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "data").touch()
    return settings


@pytest.fixture
def redis(tmp_path: Path) -> RedisBinary:
    server = tmp_path / "server"
    server.write_text(f"#!/bin/sh\n{SERVER}")
    server.chmod(0o700)
    return RedisBinary(server, "redis")


def start(settings: LocalSettings, redis: RedisBinary) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", redis_start.__file__, str(redis.path), redis.kind],
        cwd=settings.run_dir,
        env=os.environ | child_environment(settings) | {"DATA_DIR": str(settings.data_dir)},
        stdout=subprocess.PIPE,
        text=True,
    )


def aside(settings: LocalSettings) -> list[Path]:
    return list(settings.data_dir.glob("redis-*"))


def test_a_start_without_a_failure_before_does_not_check(
    settings: LocalSettings, redis: RedisBinary
) -> None:
    with start(settings, redis) as process:
        output, _ = process.communicate()

    assert (settings.run_dir / "started").read_text() == "redis.conf\n"
    assert output == ""
    assert aside(settings) == []


def test_a_start_after_a_failure_sets_refused_data_aside_and_goes_on(
    settings: LocalSettings, redis: RedisBinary
) -> None:
    (settings.run_dir / FAILED).touch()

    with start(settings, redis) as process:
        output, _ = process.communicate()

    (folder,) = aside(settings)
    (line,) = output.splitlines()
    assert line.startswith("Redis cannot load its data: Bad file format")
    assert str(folder) in line
    assert (settings.run_dir / "started").read_text() == "redis.conf\n"
    assert not (settings.run_dir / FAILED).exists()


def test_supervisor_can_stop_the_check(settings: LocalSettings, redis: RedisBinary) -> None:
    (settings.run_dir / FAILED).write_text("1")

    with start(settings, redis) as process:
        wait_until(lambda: _handles_sigterm(process.pid), seconds=10)
        process.terminate()

        assert process.wait(2) == 0

    assert not (settings.run_dir / "started").exists()
    assert aside(settings) == []


def _handles_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def test_a_server_that_cannot_start_at_all_is_reported_once_until_it_can(
    settings: LocalSettings,
    redis: RedisBinary,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in child_environment(settings).items():
        monkeypatch.setenv(name, value)
    working = redis.path.read_text()
    redis.path.write_text("#!/bin/sh\nexit 3\n")
    waits: list[None] = []

    def wait(_stopping: object) -> None:
        waits.append(None)
        if len(waits) == 3:
            (settings.data_dir / "redis" / "data").unlink()
            redis.path.write_text(working)

    monkeypatch.setattr(redis_check, "_wait", wait)

    redis_check.wait_until_it_can_start(settings, redis, lambda: False)

    assert len(waits) == 3
    assert capsys.readouterr().out.splitlines() == [
        "Redis cannot start: it exits with 3 and logs nothing"
    ]
    assert aside(settings) == []


@pytest.mark.parametrize(
    ("name", "status", "noted"),
    [
        ("redis", 1, "1"),
        ("redis", None, ""),  # it did not run for a second
        ("redis", -1, None),  # a signal
        ("redis", 0, None),
        ("notification", 1, None),
    ],
)
def test_supervisor_notes_failures_of_redis_only(
    name: str,
    status: int | None,
    noted: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    process = SimpleNamespace(exitstatus=status, config=SimpleNamespace(name=name))

    _note_failure(SimpleNamespace(process=process))

    file = tmp_path / FAILED
    assert (file.read_text() if file.exists() else None) == noted
