"""The services behave as /openapi.json describes them, whatever a client sends.

`FUZZ_EXAMPLES=1000 .venv/bin/pytest tests/e2e/test_openapi.py` searches longer than by default.
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

from .conftest import ROOT, Portal, running_portal

pytestmark = pytest.mark.slow

FUZZ = Path(__file__).parent / "fuzz"
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "30")
USER_ID = 424_242_424_242
LIMITS = (
    "ADMIN",
    "REGISTER",
    "LOGIN",
    "LOGIN_FAILURES",
    "EMAIL_CHANGES",
    "TASKS",
    "VERIFICATION",
    "CODES",
    "CHALLENGES",
    "FACTORS",
    "FORGOT",
    "RESET",
    "READS",
    "NOTIFICATIONS",
)

# Of tasks that were just created only exports have a file, and only once they are completed.
OPTIONS = {
    "usermanagement": [],
    "taskprocessing": ["--exclude-checks=ensure_resource_availability"],
    "notification": [],
}


@pytest.fixture(scope="module")
def fuzzed_portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal without limits, with a user whose id no request is likely to contain.

    The user's address is verified, so that notifications can be sent to it.
    """
    limits = {f"RATE_LIMIT_{name}": "1000000/60" for name in LIMITS}
    folder = tmp_path_factory.mktemp("portal")
    for portal in running_portal(folder, LOG_LEVEL="WARNING", **limits):
        registered = portal.register("fuzzed").body["user"]
        with closing(sqlite3.connect(portal.data_dir / "usermanagement.sqlite3")) as users:
            users.execute(
                "update users set id = ?, email_verified_at = created_at where id = ?",
                (USER_ID, registered["id"]),
            )
            users.commit()
        yield portal


def service_token(portal: Portal) -> str:
    """The token of User Management."""
    stored = json.loads((portal.data_dir / "secrets.json").read_text("utf-8"))
    return str(stored["service_tokens"]["usermanagement"])


@pytest.mark.parametrize("service", OPTIONS)
def test_no_generated_request_contradicts_the_description(
    fuzzed_portal: Portal, service: str, tmp_path: Path
) -> None:
    fuzzed = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            f"--config-file={FUZZ / 'schemathesis.toml'}",
            "run",
            f"http://127.0.0.1:{fuzzed_portal.ports[service]}/openapi.json",
            "--header=Authorization: Bearer fuzzed-session",
            "--checks=all",
            *OPTIONS[service],
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
    described = fuzzed_portal.request("GET", "/openapi.json", service=service).body["paths"]
    assert int(tested) == sum(map(len, described.values()))
