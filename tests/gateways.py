"""The gateway as a process, its DNS server, and replicas that misbehave on purpose."""

import json
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from common.pyportal_common.redis_server import free_port

from .common.waiting import wait_until
from .portal_api import PORTS

ROOT = Path(__file__).parent.parent
FILES = ROOT / "deploy" / "gateway"
DOCUMENT = ROOT / "clients" / "openapi.json"

Behaviour = Literal["answers", "refuses", "misses", "breaks"]

_SECONDS = 60


class DnsServer:
    """A DNS server, as Docker has one: the name of a service has several addresses."""

    def __init__(self, addresses: Mapping[str, list[str]]) -> None:
        self.addresses = dict(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                query, sender = self._socket.recvfrom(512)
                self._socket.sendto(self._answer(query), sender)

    def _answer(self, query: bytes) -> bytes:
        name = query[13 : 13 + query[12]].decode()
        question = query[12 : 12 + len(name) + 6]  # a length, the name, an end, type and class
        found = [socket.inet_aton(each) for each in self.addresses.get(name, [])]
        code = 0 if found else 3
        header = query[:2] + struct.pack("!5H", 0x8180 | code, 1, len(found), 0, 0)
        record = struct.pack("!3HIH", 0xC00C, 1, 1, 0, 4)
        return header + question + b"".join(record + each for each in found)


@dataclass
class Replica:
    """A server that answers with what it received.

    Its `behaviour` may be another one: it "refuses" with 503, "misses" with 404, or "breaks" the
    connection.
    """

    address: str
    port: int
    behaviour: Behaviour = "answers"
    long_header: int = 0  # characters
    received: list[str] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Accept connections."""
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _respond(self) -> None:
                replica.received.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if replica.behaviour == "breaks":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                headers = [(name.lower(), value) for name, value in self.headers.items()]
                body = {"replica": replica.address, "path": self.path, "headers": dict(headers)}
                text = json.dumps(body).encode()
                self.send_response({"refuses": 503, "misses": 404}.get(replica.behaviour, 200))
                if replica.long_header:
                    self.send_header("X-Long", "x" * replica.long_header)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _respond  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer((self.address, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@dataclass
class Gateway:
    """A running gateway with two replicas of each service."""

    port: int
    log: Path
    dns: DnsServer
    replicas: dict[str, list[Replica]]

    def received(self, service: str = "usermanagement") -> list[str]:
        """The requests that all replicas of a service have received."""
        return [each for replica in self.replicas[service] for each in replica.received]


@contextmanager
def running_gateway(**variables: str) -> Iterator[Gateway]:
    """Start a gateway, a DNS server and the replicas."""
    ports = {name: free_port() for name in PORTS}
    replicas = {
        name: [Replica(f"127.0.0.{number}", port) for number in (2, 3)]
        for name, port in ports.items()
    }
    dns = DnsServer({f"{name}-service": [each.address for each in found]
                     for name, found in replicas.items()})  # fmt: skip
    everything = [replica for found in replicas.values() for replica in found]
    for replica in everything:
        replica.start()
    with TemporaryDirectory(prefix="pyportal-gateway-") as folder:
        process, port = _start(Path(folder), ports, dns, variables)
        try:
            wait_until(lambda: _accepts(port), _SECONDS)
            yield Gateway(port, Path(folder) / "log", dns, replicas)
        finally:
            process.terminate()
            process.wait(_SECONDS)
            dns.close()
            for replica in everything:
                replica.stop()


def _start(
    folder: Path, ports: dict[str, int], dns: DnsServer, variables: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    folder.chmod(0o755)  # started by root, nginx works as another user
    source = folder / "source"
    shutil.copytree(FILES, source)
    text = (source / "nginx.conf").read_text("utf-8")
    for name, port in ports.items():
        text = text.replace(f"-service:{PORTS[name]}", f"-service:{port}")
    (source / "nginx.conf").write_text(text, "utf-8")
    shutil.copy(DOCUMENT, folder)
    port = free_port()
    environment = {
        **os.environ,
        "GATEWAY_FOLDER": str(folder),
        "GATEWAY_DOCUMENT": str(folder / DOCUMENT.name),
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_RESOLVER": f"127.0.0.1:{dns.port}",
        **variables,
    }
    with (folder / "log").open("ab") as log:
        command = ["sh", str(source / "serve.sh")]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log), port


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
