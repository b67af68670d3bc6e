"""The wheel declares every distribution that its code imports, and contains its data files."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from .load import ROOT

COMMON = ROOT / "common"
TESTING = COMMON / "pyportal_common" / "testing"

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
INCLUDED = {
    "hiredis": "redis",
    "pydantic-core": "pydantic",
    "click": "flask",
}  # required by the second


def names(requirements: list[str]) -> set[str]:
    """The distributions that requirements name, in lower case."""
    return {
        requirement.split(">=")[0].partition("[")[0].strip().lower() for requirement in requirements
    }


def imported(files: Iterator[Path]) -> set[str]:
    """The distributions of all modules that files import."""
    modules: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(str(node.module).partition(".")[0])
    installed = packages_distributions()
    found = {
        installed[module][0].lower().replace("_", "-")
        for module in modules - sys.stdlib_module_names - {"common"}
    }
    return {INCLUDED.get(name, name) for name in found}


@pytest.mark.parametrize("testing", [False, True], ids=["production", "testing"])
def test_every_import_is_declared(testing: bool) -> None:
    declared = names(PROJECT["project"]["dependencies"])
    if testing:
        declared |= names(PROJECT["project"]["optional-dependencies"]["testing"])
    files = (file for file in COMMON.rglob("*.py") if file.is_relative_to(TESTING) is testing)

    found = imported(files)

    assert found
    assert found <= declared


def test_every_data_file_is_in_the_wheel() -> None:
    declared = {
        (COMMON.parent / package.replace(".", "/") / pattern).relative_to(COMMON).as_posix()
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
    }
    data = [
        file.relative_to(COMMON).as_posix()
        for file in COMMON.rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc", ".md"}
    ]

    assert any(name.endswith(".lua") for name in data)
    assert [name for name in data if not any(fnmatch(name, each) for each in declared)] == []
