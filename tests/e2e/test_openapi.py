"""The description at /openapi.json is true, whatever a client makes of it.

`FUZZ_EXAMPLES=1000 .venv/bin/pytest tests/e2e/test_openapi.py` looks harder than by default.
"""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from .conftest import Portal

FUZZ = Path(__file__).parent / "fuzz"
ROOT = Path(__file__).parent.parent.parent
README = ROOT / "usermanagement-service" / "README.md"
OPERATIONS = re.compile(r"^\| `[A-Z]+ /(?:api/|livez|readyz|health)", re.MULTILINE)
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "30")


NO_LIMIT = "1000000/60"


def test_no_request_made_from_the_description_finds_a_fault(
    new_portal: Callable[..., Portal], tmp_path: Path
) -> None:
    portal = new_portal(
        RATE_LIMIT_REGISTER=NO_LIMIT,
        RATE_LIMIT_LOGIN=NO_LIMIT,
        RATE_LIMIT_LOGIN_FAILURES=NO_LIMIT,
        LOG_LEVEL="WARNING",
    )
    portal.start()
    user_id = 424_242_424_242
    registered = portal.register("fuzzed").body["user"]
    with closing(sqlite3.connect(portal.data_dir / "usermanagement.sqlite3")) as users:
        users.execute("update users set id = ? where id = ?", (user_id, registered["id"]))
        users.commit()

    fuzzed = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            f"--config-file={FUZZ / 'schemathesis.toml'}",
            "run",
            f"http://127.0.0.1:{portal.port}/openapi.json",
            "--header=Authorization: Bearer fuzzed-session",
            "--checks=all",
            f"--max-examples={EXAMPLES}",
            "--generation-database=none",
            "--no-color",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": str(FUZZ / "hooks.py"),
            "REDIS_URL": f"redis://127.0.0.1:{portal.redis_port}",
            "FUZZED_USER_ID": str(user_id),
            "FUZZED_SESSION_ID": "fuzzed-session",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )

    print(fuzzed.stdout)
    assert fuzzed.returncode == 0, fuzzed.stdout + fuzzed.stderr
    (tested,) = re.findall(r"Tested: (\d+)", fuzzed.stdout)
    assert int(tested) == len(OPERATIONS.findall(README.read_text("utf-8")))
