"""The clients in clients/ are current, and their types are strict."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.pyportal_common.testing.plugin import missing
from local.clients import CLIENTS, NODE_MODULES, TOOLS, run_node, write
from local.openapi import merged

GENERATED = ("openapi.json", "python/pyportal_client/**/*.py", "typescript/schema.d.ts")


@pytest.fixture
def tools() -> None:
    """The generators and the type checker, which `make verify` installs."""
    if not TOOLS.exists() or not NODE_MODULES.exists():
        missing("the tools of requirements/clients.txt and clients/typescript, by `make clients`,")


def files_in(folder: Path) -> dict[str, str]:
    """The texts of the generated files by their paths."""
    found = [file for pattern in GENERATED for file in folder.glob(pattern)]
    return {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in found}


def errors_of_mypy(*files: Path) -> list[str]:
    """The errors that `mypy --strict` finds where the client and its requirements are installed."""
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file="),
            f"--python-executable={TOOLS / 'python'}",
            *map(str, files),
        ],
        cwd=CLIENTS / "python",
        env={**os.environ, "MYPYPATH": str(CLIENTS / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    output: str = checked.stdout + checked.stderr
    return output.splitlines()


def test_the_document_is_what_the_services_describe() -> None:
    document = json.loads((CLIENTS / "openapi.json").read_text("utf-8"))

    assert document == merged(), "run `make clients`"


@pytest.mark.slow
@pytest.mark.usefixtures("tools")
def test_the_generated_code_is_what_make_clients_writes(tmp_path: Path) -> None:
    write(tmp_path)

    written, committed = files_in(tmp_path), files_in(CLIENTS)
    assert written.keys() == committed.keys()
    assert [name for name in written if written[name] != committed[name]] == []


@pytest.mark.slow
@pytest.mark.usefixtures("tools")
def test_the_python_client_is_typed_strictly(tmp_path: Path) -> None:
    assert errors_of_mypy(CLIENTS / "python") == []

    wrong = tmp_path / "wrong.py"
    wrong.write_text("from pyportal_client.models import FlightBooking\nFlightBooking(seats='1')\n")
    (missing_id, text_for_number) = errors_of_mypy(wrong)
    assert "flight_id" in missing_id
    assert "seats" in text_for_number


@pytest.mark.slow
@pytest.mark.usefixtures("tools")
def test_the_typescript_client_is_typed_strictly(tmp_path: Path) -> None:
    run_node("typescript", "bin/tsc", "--project", CLIENTS / "typescript")

    wrong = tmp_path / "wrong.ts"
    schema = (CLIENTS / "typescript" / "schema.d.ts").as_posix()
    wrong.write_text(
        f'import type {{ components }} from "{schema}";\n'
        'const booking: components["schemas"]["FlightBooking"] = { flightId: 1, seats: "1" };\n'
    )
    with pytest.raises(subprocess.CalledProcessError):
        run_node("typescript", "bin/tsc", "--noEmit", "--strict", "--ignoreConfig", wrong)


def test_the_lock_of_npm_has_hashes_and_no_address() -> None:
    text = (CLIENTS / "typescript" / "package-lock.json").read_text("utf-8")

    packages = {name: each for name, each in json.loads(text)["packages"].items() if name}
    assert len(packages) > 3
    assert [name for name, package in packages.items() if "integrity" not in package] == []
    assert "://" not in text
