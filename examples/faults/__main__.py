"""Prints the table of outages and races, in Markdown. It takes about two minutes."""

import os
import tempfile
from pathlib import Path

from common.pyportal_common.redis_server import (
    RedisServer,
    embedded_server,
    redis_server_on_path,
)

from .outages import dead, hung, slow
from .races import races

VERSIONS = {"the three extensions": "peers", "tuned": "tuned", "pyportal-common": "portal"}


def main() -> None:
    """Run everything on all versions."""
    columns = {title: rows_of(version) for title, version in VERSIONS.items()}
    print(f"| | {' | '.join(columns)} |")
    print(f"|---{'|---' * len(columns)}|")
    for row in columns["pyportal-common"]:
        print(f"| {row} | {' | '.join(cells[row] for cells in columns.values())} |")


def rows_of(version: str) -> dict[str, str]:
    """What happens to a version in each case."""
    binary = redis_server_on_path() or embedded_server()
    if binary is None:
        raise SystemExit("There is no Redis server on this machine.")
    rows: dict[str, str] = {}
    for case in (hung, dead, slow, races):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            os.environ["WAREHOUSE"] = str(folder / "warehouse.sqlite3")  # the store inherits it
            redis = RedisServer(binary, folder / "redis")
            redis.start()
            try:
                rows |= case(version, redis, folder)
            finally:
                redis.kill()
    return rows


if __name__ == "__main__":
    main()
