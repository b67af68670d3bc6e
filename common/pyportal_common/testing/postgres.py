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

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from ..redis_server import free_port


def postgres_binaries() -> Path | None:
    """The folder of PostgreSQL's programs."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "postgres").exists()), None)


@contextmanager
def running_postgres(binaries: Path, *, fsync: bool = False) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL, until the block ends.

    Tests need no commit that outlives the machine; what measures commits needs `fsync`.
    """
    folder = Path(tempfile.mkdtemp(prefix="pyportal-postgres-"))
    port = free_port()
    as_user = _unprivileged(folder)
    subprocess.run(  # noqa: S603
        [
            binaries / "initdb",
            "-D",
            folder / "data",
            "-U",
            "portal",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        **as_user,
    )
    settings = (
        "listen_addresses=127.0.0.1",
        f"port={port}",
        f"unix_socket_directories={folder}",
        f"fsync={'on' if fsync else 'off'}",
    )
    options = [word for setting in settings for word in ("-c", setting)]
    server = subprocess.Popen(  # noqa: S603
        [binaries / "postgres", "-D", folder / "data", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **as_user,
    )
    url = f"postgresql+psycopg://portal@127.0.0.1:{port}/postgres"
    try:
        _await_sql(url)
        yield url
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    os.chown(folder, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _await_sql(url: str) -> None:
    engine = create_engine(url)
    deadline = time.monotonic() + 30
    while True:
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
            break
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    engine.dispose()
