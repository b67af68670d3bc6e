"""Type checkers on an app that has the wheel: right uses pass, and wrong ones are errors."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .load import ROOT
from .wheels import build, install

FindErrors = Callable[[Path, Path], set[tuple[str, int]]]
PYRIGHT = {"typeCheckingMode": "strict", "pythonVersion": "3.11"}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel."""
    wheel = build(tmp_path_factory.mktemp("dist"))
    folder = tmp_path_factory.mktemp("environment")
    return install(folder / "venv", wheel, "flask,sql", "Flask-SQLAlchemy")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The folder of the app, written for the installed package."""
    for name in ("shop.py", "wrong.py"):
        text = (ROOT / "tests" / "typing" / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace("common.pyportal_common", "pyportal_common"))
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(PYRIGHT))
    return tmp_path


def errors_of_mypy(folder: Path, python: Path) -> set[tuple[str, int]]:
    """The lines where `mypy --strict` finds an error."""
    command = ["-m", "mypy", "--strict", "--python-executable", str(python), "shop.py", "wrong.py"]
    found = re.findall(r"^(\w+\.py):(\d+): error", output(folder, *command), re.MULTILINE)
    return {(name, int(line)) for name, line in found}


def errors_of_pyright(folder: Path, python: Path) -> set[tuple[str, int]]:
    """The lines where pyright finds an error, with its strict rules."""
    command = ["-m", "basedpyright", "--outputjson", "--pythonpath", str(python)]
    found = json.loads(output(folder, *command, "shop.py", "wrong.py"))["generalDiagnostics"]
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1)
        for each in found
        if each["severity"] == "error"
    }


def output(folder: Path, *command: str) -> str:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False
    ).stdout


@pytest.mark.slow
@pytest.mark.parametrize("find_errors", [errors_of_mypy, errors_of_pyright])
def test_right_uses_pass_and_each_wrong_use_is_an_error(
    find_errors: FindErrors, app: Path, python: Path
) -> None:
    lines = (app / "wrong.py").read_text("utf-8").splitlines()
    wrong = {("wrong.py", n) for n, line in enumerate(lines, 1) if line.endswith("# error")}

    assert len(wrong) >= 40
    assert find_errors(app, python) == wrong
