"""The wheel declares every distribution that its code imports, in the extras of each part."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from .load import ROOT

PACKAGE = ROOT / "common" / "pyportal_common"

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
INCLUDED = {
    "hiredis": "redis",
    "markupsafe": "flask",
    "pydantic": "pydantic-settings",
    "pydantic-core": "pydantic-settings",
    "werkzeug": "flask",
}  # required by the second

# The extras of each part. A part that is not here needs none.
EXTRAS = {
    "admin": {"web", "flask", "sql", "jobs"},
    "cli": {"cli"},
    "command_examples": {"cli"},
    "commands": {"cli", "jobs"},
    "db": {"sql", "postgresql"},
    "extension": {"flask"},
    "fake_redis": {"testing"},
    "fields": {"email"},
    "gunicorn": {"gunicorn"},
    "jobs": {"jobs"},
    "logging": {"gunicorn"},  # for logs as JSON
    "metrics": {"gunicorn"},
    "operations": {"jobs"},
    "otel": {"otel"},
    "otel_traces": {"otel"},
    "outbound": {"jobs"},
    "pytest_plugin": {"testing"},
    "testing": {"testing", "web", "flask", "jobs", "otel"},
    "web": {"web", "flask", "sql", "cli"},  # Flask requires click
}
PARTS = sorted(
    {
        path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
)


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
        min(installed[module]).lower().replace("_", "-")  # of opentelemetry, the API
        for module in modules - sys.stdlib_module_names - {"common"}
    }
    return {INCLUDED.get(name, name) for name in found}


def declared(extras: set[str]) -> set[str]:
    """The distributions of the core and of extras, also of those that they include."""
    found = set(PROJECT["dependencies"])
    for extra in extras:
        found.update(PROJECT["optional-dependencies"][extra])
    included = {
        name
        for requirement in found
        if requirement.startswith("pyportal-common[")
        for name in requirement.partition("[")[2].rstrip("]").split(",")
    }
    return names(list(found)) | (declared(included - extras) if included - extras else set())


@pytest.mark.parametrize("part", PARTS)
def test_every_import_of_a_part_is_in_its_extras(part: str) -> None:
    files = [*(PACKAGE / part).rglob("*.py"), *PACKAGE.glob(f"{part}.py")]

    assert files
    assert imported(iter(files)) <= declared(EXTRAS.get(part, set()))


def test_all_has_every_extra_but_the_one_for_tests() -> None:
    (everything,) = PROJECT["optional-dependencies"]["all"]
    named = set(everything.partition("[")[2].rstrip("]").split(","))

    assert named == set(PROJECT["optional-dependencies"]) - {"all", "testing"}
