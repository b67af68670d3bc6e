"""A throwaway PostgreSQL server."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from ..redis_server import free_port
from .certificates import Certificate


def postgres_binaries() -> Path | None:
    """The folder of PostgreSQL's programs; None if it is not installed."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "postgres").exists()), None)


@contextmanager
def running_postgres(
    binaries: Path, *, as_in_production: bool = False, certificate: Certificate | None = None
) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL, which is stopped when the block ends.

    Unless `as_in_production`, commits do not survive a power failure, and no statistics are
    gathered, so that the plan of a statement does not depend on what tests have stored.

    With a `certificate`, clients may use TLS.
    """
    folder = Path(tempfile.mkdtemp(prefix="pyportal-postgres-"))
    port = free_port()
    common: dict[str, Any] = {"stdout": subprocess.DEVNULL, "cwd": folder, **_account(folder)}
    initdb: list[str | Path] = [
        binaries / "initdb",
        "-D",
        "data",
        "-U",
        "portal",
        "-A",
        "trust",
        "-N",
        "-E",
        "UTF8",
    ]
    subprocess.run(initdb, check=True, **common)  # noqa: S603
    switch = "on" if as_in_production else "off"
    settings: tuple[str, ...] = (
        "listen_addresses=127.0.0.1",
        f"port={port}",
        f"unix_socket_directories={folder}",
        f"fsync={switch}",
        f"autovacuum={switch}",
    )
    if certificate is not None:
        settings += _tls(folder, certificate)
    options = [word for setting in settings for word in ("-c", setting)]
    server = subprocess.Popen(  # noqa: S603
        [binaries / "postgres", "-D", "data", *options], stderr=subprocess.DEVNULL, **common
    )
    url = f"postgresql+psycopg://portal@127.0.0.1:{port}/postgres"
    try:
        _await_connection(url)
        yield url
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _tls(folder: Path, certificate: Certificate) -> tuple[str, ...]:
    """The settings for TLS. The key is copied, because it must be the server's own and private."""
    key = folder / "server.key"
    key.write_bytes(certificate.key.read_bytes())
    key.chmod(0o600)
    if account := _account(folder):
        os.chown(key, account["user"], account["group"])
    file = folder / "server.pem"
    file.write_bytes(certificate.file.read_bytes())
    return "ssl=on", f"ssl_cert_file={file}", f"ssl_key_file={key}"


def _account(folder: Path) -> dict[str, Any]:
    """The account that runs PostgreSQL, which refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    os.chown(folder, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _await_connection(url: str) -> None:
    engine = create_engine(url)
    deadline = time.monotonic() + 30
    while True:
        try:
            engine.connect().close()
            break
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    engine.dispose()
