"""The description at /openapi.json is true, whatever a client makes of it.

`FUZZ_EXAMPLES=1000 .venv/bin/pytest tests/e2e/test_openapi.py` looks harder than by default.
"""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Portal, running

FUZZ = Path(__file__).parent / "fuzz"
ROOT = Path(__file__).parent.parent.parent
OPERATIONS = re.compile(r"^\| `[A-Z]+ /(?:api/|livez|readyz|health)", re.MULTILINE)
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "30")
USER_ID = 424_242_424_242
NO_LIMIT = "1000000/60"

# Of tasks that were just created only exports leave a file, and only when they are done.
EXCEPTIONS = {
    "usermanagement": [],
    "taskprocessing": ["--exclude-checks=ensure_resource_availability"],
    "notification": [],
}


@pytest.fixture(scope="module")
def fuzzed_portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal without limits, and with a user whom no request is likely to name.

    Their address is verified, so that they can be written to.
    """
    for portal in running(
        tmp_path_factory.mktemp("portal"),
        RATE_LIMIT_REGISTER=NO_LIMIT,
        RATE_LIMIT_LOGIN=NO_LIMIT,
        RATE_LIMIT_LOGIN_FAILURES=NO_LIMIT,
        RATE_LIMIT_TASKS=NO_LIMIT,
        RATE_LIMIT_VERIFICATION=NO_LIMIT,
        RATE_LIMIT_FORGOT=NO_LIMIT,
        RATE_LIMIT_RESET=NO_LIMIT,
        RATE_LIMIT_NOTIFICATIONS=NO_LIMIT,
        LOG_LEVEL="WARNING",
    ):
        registered = portal.register("fuzzed").body["user"]
        with closing(sqlite3.connect(portal.data_dir / "usermanagement.sqlite3")) as users:
            users.execute(
                "update users set id = ?, email_verified_at = created_at where id = ?",
                (USER_ID, registered["id"]),
            )
            users.commit()
        yield portal


def service_token(portal: Portal) -> str:
    """By which User Management tells others who it is."""
    known = json.loads((portal.data_dir / "secrets.json").read_text("utf-8"))
    return str(known["service_tokens"]["usermanagement"])


@pytest.mark.parametrize("service", EXCEPTIONS)
def test_no_request_made_from_the_description_finds_a_fault(
    fuzzed_portal: Portal, service: str, tmp_path: Path
) -> None:
    port = fuzzed_portal.environment[f"{service.upper()}_PORT"]
    readme = ROOT / f"{service}-service" / "README.md"

    fuzzed = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            f"--config-file={FUZZ / 'schemathesis.toml'}",
            "run",
            f"http://127.0.0.1:{port}/openapi.json",
            "--header=Authorization: Bearer fuzzed-session",
            "--checks=all",
            *EXCEPTIONS[service],
            f"--max-examples={EXAMPLES}",
            "--generation-database=none",
            "--no-color",
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": str(FUZZ / "hooks.py"),
            "REDIS_URL": f"redis://127.0.0.1:{fuzzed_portal.redis_port}",
            "FUZZED_USER_ID": str(USER_ID),
            "FUZZED_SESSION_ID": "fuzzed-session",
            "FUZZED_SERVICE_TOKEN": service_token(fuzzed_portal),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )

    print(fuzzed.stdout)
    assert fuzzed.returncode == 0, fuzzed.stdout + fuzzed.stderr
    (tested,) = re.findall(r"Tested: (\d+)", fuzzed.stdout)
    assert int(tested) == len(OPERATIONS.findall(readme.read_text("utf-8")))
