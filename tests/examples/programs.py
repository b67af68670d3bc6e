"""Runs programs in the environment of the tests and in that of the peers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.plugin import missing

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / ".venv" / "peers"


def python_of(version: str) -> Path:
    """The Python that has what a version of an example needs: "peers" or "portal"."""
    if version == "portal":
        return Path(sys.executable)
    if not PEERS.is_dir():
        missing("the packages of requirements/peers.txt, which make verify installs,")
    return PEERS / "bin" / "python"


def run(
    version: str, *arguments: str, redis: RedisServer, sent: Any = None, **variables: str
) -> Any:
    """Run `python -m` with the package under the name that the wheel has. Returns its JSON."""
    result = subprocess.run(
        [str(python_of(version)), "-m", *arguments],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'common'}", "REDIS_URL": redis.url}
        | variables,
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)
