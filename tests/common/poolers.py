"""PgBouncer, as a process between services and PostgreSQL."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import make_url

from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.plugin import missing

_SECONDS = 60
_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server_port} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
server_login_retry = 1
logfile = {folder}/pgbouncer.log
"""


@contextmanager
def running_pgbouncer(url: str, *, pool_size: int = 2) -> Iterator[str]:
    """The URL of the same database behind a PgBouncer, whose transactions are those of a few.

    The server does not have to run.
    """
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        missing("pgbouncer")
    target = make_url(url)
    port = free_port()
    with TemporaryDirectory(prefix="pyportal-pgbouncer-") as name:
        folder = Path(name)
        file = folder / "pgbouncer.ini"
        file.write_text(
            _SETTINGS.format(
                server_port=target.port,
                user=target.username,
                port=port,
                pool_size=pool_size,
                folder=folder,
            )
        )
        process = subprocess.Popen([program, "--quiet", file], **_account(folder))
        try:
            pooled = target.set(port=port).update_query_dict({"pooling": "transaction"})
            yield pooled.render_as_string(hide_password=False)
        finally:
            process.terminate()
            process.wait(_SECONDS)


def _account(folder: Path) -> dict[str, Any]:
    """The account that runs it, which must not be root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("nobody")
    os.chown(folder, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
