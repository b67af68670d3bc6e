"""A standby of a PostgreSQL, as a process."""

import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from common.pyportal_common.redis_server import free_port

_SECONDS = 60


@contextmanager
def running_standby(binaries: Path, url: str) -> Iterator[str]:
    """The URL of a standby that follows the server at `url`."""
    primary, port = make_url(url), free_port()
    with tempfile.TemporaryDirectory(prefix="pyportal-standby-") as name:
        data = Path(name) / "data"
        options: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL,
                                   **_account(Path(name))}  # fmt: skip
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", str(primary.username)]
        program = (binaries / "postgres").resolve().parent / "pg_basebackup"
        copy: list[str | Path] = [program, *source, "-D", data, "-R", "-c", "fast"]
        subprocess.run(copy, check=True, timeout=_SECONDS, **options)
        settings = ["-c", f"port={port}", "-c", f"unix_socket_directories={name}"]
        settings += ["-c", "listen_addresses=127.0.0.1"]
        server = subprocess.Popen([binaries / "postgres", "-D", data, *settings], **options)
        try:
            yield primary.set(port=port).render_as_string(hide_password=False)
        finally:
            server.send_signal(signal.SIGINT)  # without waiting for its clients
            server.wait(_SECONDS)


def _account(folder: Path) -> dict[str, Any]:
    """The account that runs it, which must not be root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    os.chown(folder, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
