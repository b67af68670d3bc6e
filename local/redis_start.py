"""Starts Redis under supervisor: `python redis_start.py SERVER KIND`, in the folder `run`.

After a start that has failed, `redis_check.py` checks the data first. That takes a second and one
more loading, so a server that was killed starts without. This file imports nothing but the
standard library: see `child.py`.
"""

import os
import sys
from pathlib import Path

FAILED = "redis.failed"  # local.supervisord writes this file in the folder `run`


def main() -> None:
    """Become the server, or the check."""
    server, kind = sys.argv[1:]
    failed = Path(FAILED)
    if failed.exists():
        status = failed.read_text()
        failed.unlink()
        check = [sys.executable, "-m", "local.redis_check", server, kind, status]
        os.execv(sys.executable, check)
    os.execv(server, [server, "redis.conf"])


if __name__ == "__main__":
    main()
