"""Data that Redis cannot load is set aside with one line; data that it can load is left alone."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.pyportal_common.cache_handlers import RedisClient
from common.pyportal_common.redis_server import (
    RedisServer,
    embedded_server,
    free_port,
    redis_server_on_path,
)
from common.pyportal_common.testing.plugin import missing, settings_for
from local.portal import ROOT, LocalSettings, RedisBinary
from local.processes import is_running
from local.redis_data import set_aside_unreadable_data
from local.run import _write_configuration

SERVERS = {"redis": redis_server_on_path, "valkey": embedded_server}


class Data:
    """A data folder of Redis with 100 keys, and where it would be set aside."""

    def __init__(self, folder: Path, binary: RedisBinary) -> None:
        self.settings = LocalSettings.load(data_dir=folder, redis_port=free_port())
        self.binary = binary
        self._server = binary.path
        self.folder = folder / binary.kind
        self.settings.run_dir.mkdir()
        _write_configuration(self.settings, binary)
        server = self.server()
        server.start()
        client = RedisClient.connect(settings_for(server), db=0)
        client.execute("BGREWRITEAOF")
        for number in range(100):
            client.set(f"key:{number}", "x" * 50, ttl=1000)
        client.close()
        server.stop()

    def server(self) -> RedisServer:
        """A server on the data."""
        return RedisServer(self._server, self.folder)

    def keys(self) -> int:
        """The number of keys that a server loads."""
        server = self.server()
        server.start()
        client = RedisClient.connect(settings_for(server), db=0)
        count = client.execute("DBSIZE")
        client.close()
        server.stop()
        return int(count)

    def file(self, pattern: str) -> Path:
        """The newest file of the append-only file's."""
        return max((self.folder / "appendonlydir").glob(pattern))

    def check(self, *, stopping: bool = False) -> None:
        """What `make run` does before it starts Redis."""
        set_aside_unreadable_data(self.settings, self.binary, lambda: stopping)

    def start_through(self, *lines: str) -> None:
        """Start the server by a Python script from now on, which executes these lines first."""
        script = self.settings.data_dir / "server"
        server = str(self._server)
        text = ["import os, sys", *lines, f"os.execv({server!r}, [{server!r}, *sys.argv[1:]])"]
        script.write_text("\n".join([f"#!{sys.executable} -IS", *text]))
        script.chmod(0o700)
        self.binary = RedisBinary(script, self.binary.kind)

    def aside(self) -> list[Path]:
        """The folders that were set aside."""
        return list(self.settings.data_dir.glob(f"{self.binary.kind}-*"))


@pytest.fixture(params=SERVERS)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Data:
    path = SERVERS[request.param]()
    if path is None:
        missing(f"a server of the kind {request.param}")
    return Data(tmp_path, RedisBinary(path, request.param))


def change(pattern: str, function: Callable[[bytes], bytes]) -> Callable[[Data], object]:
    def damage(data: Data) -> None:
        file = data.file(pattern)
        before = file.read_bytes()
        file.write_bytes(function(before))
        assert file.read_bytes() != before

    return damage


DAMAGES: dict[str, Callable[[Data], object]] = {
    "NUL bytes at the end": change("*.incr.aof", lambda text: text + b"\0" * 12),
    "an unknown command": change("*.incr.aof", lambda text: text + b"*1\r\n$7\r\nNEWTHING\r\n"),
    "a damaged middle": change(
        "*.incr.aof", lambda text: text[:500] + text[500:].replace(b"*", b"X", 1)
    ),
    "a damaged base": change("*.base.rdb", lambda text: text[:20] + b"XXXXXXXX" + text[28:]),
    "a base of a newer version": change("*.base.rdb", lambda text: text[:5] + b"9999" + text[9:]),
    "a damaged manifest": change("*.manifest", lambda _: b"garbage\n"),
    "a missing base": lambda data: data.file("*.base.rdb").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_unreadable_data_is_set_aside_with_one_line(
    data: Data, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[damage](data)
    damaged = {file.name: file.read_bytes() for file in (data.folder / "appendonlydir").iterdir()}

    data.check()

    (aside,) = data.aside()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Redis cannot load its data: ")
    assert "users have to log in again; nothing else is lost" in line
    assert str(aside) in line
    kept = {file.name: file.read_bytes() for file in (aside / "appendonlydir").iterdir()}
    assert kept == damaged
    assert data.keys() == 0


def test_data_that_can_be_loaded_is_left_alone(
    data: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    data.check()

    assert data.aside() == []
    assert capsys.readouterr().out == ""
    assert not is_running(data.settings)
    assert data.keys() == 100


def test_a_cut_last_command_loses_that_command_only(data: Data) -> None:
    file = data.file("*.incr.aof")
    file.write_bytes(file.read_bytes()[:-5])

    data.check()

    assert data.aside() == []
    assert data.keys() == 99


def test_a_server_that_cannot_start_at_all_keeps_its_data(data: Data) -> None:
    configuration = data.settings.run_dir / "redis.conf"
    configuration.write_text(configuration.read_text() + "no-such-directive yes\n")

    with pytest.raises(SystemExit, match=r"^Redis cannot start: "):
        data.check()

    assert data.aside() == []
    assert data.keys() == 100


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 2)", "sys.exit()"]
)
def test_a_server_that_something_else_ends_keeps_its_data(
    data: Data, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as a kernel that is out of memory: the server has not refused its data."""
    log = "open(sys.argv[sys.argv.index('--logfile') + 1], 'w').write('1:M 1 Jan # Exiting now\\n')"
    data.start_through(f"if not os.path.exists('ended'): {log}; open('ended', 'w'); {end}")

    data.check()

    assert (data.settings.run_dir / "ended").exists()
    assert data.aside() == []
    assert capsys.readouterr().out == ""
    assert data.keys() == 100


def test_ctrl_c_does_not_reach_the_server_that_reads_the_data(data: Data) -> None:
    """It is sent to the foreground process group."""
    data.start_through("open('group', 'w').write(str(os.getpgid(0)))")

    data.check()

    assert int((data.settings.run_dir / "group").read_text()) != os.getpgid(0)


@pytest.mark.parametrize("damage", [None, "an unknown command"])
def test_a_stop_meanwhile_leaves_the_data_alone(
    data: Data, damage: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if damage is not None:
        DAMAGES[damage](data)

    data.check(stopping=True)

    assert data.aside() == []
    assert capsys.readouterr().out == ""
    assert not is_running(data.settings)


def test_a_server_that_logs_nothing_keeps_its_data(data: Data) -> None:
    data.start_through("if not os.path.exists('ended'): open('ended', 'w'); sys.exit(3)")

    with pytest.raises(SystemExit, match=r"^Redis cannot start: it exits with 3 and logs nothing$"):
        data.check()

    assert data.aside() == []


def test_the_command_of_the_operations_page_starts_redis_empty(data: Data) -> None:
    DAMAGES["NUL bytes at the end"](data)
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    (command,) = re.findall(r"^docker compose run .* redis sh -c '(.*)'$", page, re.MULTILINE)

    subprocess.run(["sh", "-c", command.replace("/data/", f"{data.folder}/")], check=True)

    assert data.keys() == 0
    assert list(data.folder.glob("damaged-*/*.manifest"))
