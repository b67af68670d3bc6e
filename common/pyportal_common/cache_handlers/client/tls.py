"""Connections to Redis over TLS. The certificate of the server is always verified."""

import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import redis

from ...settings import AbsolutePath, Settings

_IN_URL = {
    "ssl_ca_certs": "ca_file",
    "ssl_certfile": "cert_file",
    "ssl_keyfile": "key_file",
    "ssl_check_hostname": "check_hostname",
}
URL_OPTIONS = {*_IN_URL, "ssl_cert_reqs"}
"""The options of a rediss:// URL."""

_UNKNOWN_AUTHORITY = {18, 19, 20, 21}  # X509_V_ERR_…: self-signed, or no issuer is known


class CertificateError(redis.ConnectionError):
    """TLS failed: a certificate is not accepted, or the other side does not speak TLS."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of TLS connections. The authorities are those of `ca_file`, else the system's."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    check_hostname: bool = True

    def context(self) -> ssl.SSLContext:
        """The context for new connections. Raises ValueError that names the variable.

        The files are read if they have changed.
        """
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE must be set together")
        if not self.check_hostname and self.ca_file is None:
            raise ValueError(
                "REDIS_TLS_CHECK_HOSTNAME: false needs REDIS_TLS_CA_FILE,"
                " because the system's authorities certify everybody's servers"
            )
        return _read(
            self,
            _version("CA", self.ca_file),
            _version("CERT", self.cert_file),
            _version("KEY", self.key_file),
        )

    def read_files(self) -> ssl.SSLContext:
        """A context with what the files contain now."""
        context = self._verifying()
        if self.cert_file is not None:
            self._present(context)
        return context

    def _verifying(self) -> ssl.SSLContext:
        # With a file, those of the system are not loaded: they would be accepted as well.
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError:
            raise ValueError(
                f"REDIS_TLS_CA_FILE: {self.ca_file} contains no certificate in PEM"
            ) from None
        context.check_hostname = self.check_hostname
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _present(self, context: ssl.SSLContext) -> None:
        try:
            # An empty password: OpenSSL would ask for that of an encrypted key on the terminal.
            context.load_cert_chain(str(self.cert_file), str(self.key_file), password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ValueError(
                    f"REDIS_TLS_KEY_FILE: {self.key_file} is not the key of {self.cert_file}"
                ) from None
            raise ValueError(
                "REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE must contain a certificate and"
                f" its key in PEM, without a passphrase: {self.cert_file}, {self.key_file}"
            ) from None


class TlsConnection(redis.Connection):
    """A connection over TLS. A file that was replaced is read when the next one is opened."""

    def __init__(self, *, tls: Tls, **options: Any) -> None:
        self._tls = tls
        super().__init__(**options)  # type: ignore[no-untyped-call]  # of redis-py

    def _connect(self) -> ssl.SSLSocket:
        connected: Any = super()._connect()  # type: ignore[no-untyped-call]  # of redis-py
        try:
            secured = self._tls.context().wrap_socket(connected, server_hostname=self.host)
            connected = secured
            _require_acceptance(secured)
        except (TimeoutError, ssl.SSLError, ValueError) as error:
            connected.close()
            raise self._translated(error) from error
        except BaseException:
            connected.close()
            raise
        return secured

    def _translated(self, error: Exception) -> redis.RedisError:
        if isinstance(error, TimeoutError):
            return redis.TimeoutError(
                f"no TLS handshake within {self.socket_timeout} s:"
                " the server hangs, or does not speak TLS on this port"
            )
        if isinstance(error, ssl.SSLEOFError):
            return redis.ConnectionError("the server closed the connection in the TLS handshake")
        if isinstance(error, ssl.SSLError):
            return CertificateError(_explained(error))
        return CertificateError(str(error))


def _require_acceptance(secured: ssl.SSLSocket) -> None:
    """Raise ssl.SSLError if the server rejects the client's certificate. One round trip.

    With TLS 1.3 it verifies that after the handshake of the client. Its alert can be read even if
    it has closed the connection, and nothing can be sent any more.
    """
    with suppress(OSError):
        secured.sendall(b"PING\r\n")
    reply = b""
    while not reply.endswith(b"\n"):
        received = secured.recv(4096)
        if not received:
            raise ssl.SSLEOFError
        reply += received
    if reply.startswith(b"-DENIED"):  # it closes the connection
        raise redis.ResponseError(reply[1:].decode().rstrip())


class TlsSettings(Settings):
    """REDIS_TLS and REDIS_TLS_*. With REDIS_TLS, or a rediss:// URL, connections are encrypted.

    The options ssl_ca_certs, ssl_certfile, ssl_keyfile and ssl_check_hostname of a URL win over the
    variables.
    """

    tls: bool = False
    tls_ca_file: AbsolutePath | None = None
    tls_cert_file: AbsolutePath | None = None
    tls_key_file: AbsolutePath | None = None
    tls_check_hostname: bool = True

    def tls_with(self, options: Mapping[str, Any]) -> Tls:
        """How to connect, with the options of a URL."""
        given = {field: options[name] for name, field in _IN_URL.items() if name in options}
        files = {field: Path(file) for field, file in given.items() if isinstance(file, str)}
        variables = {field: getattr(self, f"tls_{field}") for field in _IN_URL.values()}
        return Tls(**variables | given | files)


def _explained(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = ""
        if error.verify_code in _UNKNOWN_AUTHORITY:
            advice = ". It is not signed by an authority in REDIS_TLS_CA_FILE"
        reason = error.verify_message.rstrip(".")
        return f"the server's certificate is not accepted: {reason}{advice}"
    if error.reason == "WRONG_VERSION_NUMBER":
        return "the server does not speak TLS on this port"
    reason = (error.reason or str(error)).lower().replace("_", " ")
    _, of_server, alert = reason.partition("alert ")
    if of_server and ("certificate" in alert or alert == "unknown ca"):
        return (
            f"the server does not accept the client's certificate: {alert}."
            " See REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE"
        )
    return f"the TLS handshake failed: {reason}"


def _version(name: str, file: Path | None) -> object:
    """What changes when the file is replaced. Raises ValueError if it cannot be read."""
    if file is None:
        return None
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
    except OSError as error:
        raise ValueError(f"REDIS_TLS_{name}_FILE: {file}: {error.strerror}") from None
    return status.st_ino, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16)
def _read(tls: Tls, *_versions: object) -> ssl.SSLContext:
    # To read the authorities of a system takes 30 ms of the processor.
    return tls.read_files()
