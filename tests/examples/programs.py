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
    version: str, module: str, *arguments: str, redis: RedisServer, sent: Any = None, **env: str
) -> Any:
    """Run a module, which gets JSON and prints JSON. Returns that."""
    return json.loads(_run(version, ["-m", module, *arguments], redis, json.dumps(sent), env))


def run_text(version: str, program: str, *, redis: RedisServer) -> str:
    """Run the text of a program. Returns what it prints."""
    return _run(version, ["-"], redis, program, {})


def _run(
    version: str, command: list[str], redis: RedisServer, sent: str, env: dict[str, str]
) -> str:
    """Our package has the name that the wheel gives it, and that of the repository."""
    paths = f"{ROOT}{os.pathsep}{ROOT / 'common'}"
    result = subprocess.run(
        [str(python_of(version)), *command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths, "REDIS_URL": redis.url} | env,
        input=sent,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
