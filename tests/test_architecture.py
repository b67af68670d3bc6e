"""Who may import whom: wsgi, app, routes, nouns, redis_helper, cache_handlers, redis; one way."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMON = ROOT / "common" / "pyportal_common"
SERVICES = sorted(path for path in ROOT.glob("*-service") if path.is_dir())

HTTP = ["routes", "context", "problems", "commands"]
ENTRIES = ["__init__", "worker"]  # what a process begins with
ORDER = [
    "redis_helper",
    "models",
    "task_types",
    "passwords",
    "schemas",
    "fields",
    "texts",
    "errors",
    "settings",
]


def speaks_http(file: Path) -> bool:
    """Whether a module may know Flask: those of these names, and any `…_routes`."""
    return file.stem in {"__init__", *HTTP} or file.stem.endswith("_routes")


def imports(file: Path) -> Iterator[str]:
    """The absolute names of all modules that a file imports, wherever it does."""
    package = list(file.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def offenders(files: Iterator[Path], *forbidden: str) -> list[str]:
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in imports(file)
        if any(name == prefix or name.startswith(f"{prefix}.") for prefix in forbidden)
    ]


def test_there_is_something_to_check() -> None:
    assert SERVICES
    assert "redis" in set(imports(COMMON / "cache_handlers" / "client" / "client.py"))
    assert "common.pyportal_common.cache_handlers.keys" in set(
        imports(COMMON / "cache_handlers" / "rate_limits" / "limiter.py")
    )


def test_the_redis_layer_knows_neither_flask_nor_sql() -> None:
    files = (COMMON / "cache_handlers").rglob("*.py")

    assert not offenders(
        files,
        "flask",
        "werkzeug",
        "sqlalchemy",
        "alembic",
        "common.pyportal_common.web",
        "common.pyportal_common.db.database",
    )


def test_jobs_know_no_flask() -> None:
    assert not offenders((COMMON / "jobs").glob("*.py"), "flask", "common.pyportal_common.web")


def test_only_the_redis_layer_and_the_local_tools_know_redis_py() -> None:
    files = [file for file in COMMON.rglob("*.py") if "cache_handlers" not in file.parts]

    assert not offenders(iter(files), "redis")


def test_common_knows_no_service_and_no_local_tool() -> None:
    assert not offenders(COMMON.rglob("*.py"), "app", "wsgi", "local")


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_a_service_uses_redis_and_other_services_only_as_it_may(service: Path) -> None:
    files = [file for file in service.rglob("*.py") if "tests" not in file.parts]

    others = [other.name for other in SERVICES if other != service]
    assert not offenders(iter(files), "redis", "local", *others)
    internals = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in (COMMON / "cache_handlers").rglob("*.py")
        if file.stem not in {"__init__", "keys"}
    ]
    assert not offenders(iter(files), *internals)


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_flask_stays_in_the_routes_and_the_factory(service: Path) -> None:
    app = service / "app"
    files = [file for file in app.rglob("*.py") if file.parent != app or not speaks_http(file)]

    assert not offenders(iter(files), "flask", "werkzeug")


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_nothing_in_app_imports_what_stands_above_it(service: Path) -> None:
    app = service / "app"
    own = f"{service.name}.app"
    nouns = [
        file.stem for file in app.glob("*.py") if not speaks_http(file) and file.stem not in ORDER
    ]
    for file in app.glob("*.py"):
        if file.stem in ENTRIES:
            continue
        http = [*HTTP, *(found.stem for found in app.glob("*_routes.py"))]
        above = [] if speaks_http(file) else [f"{own}.{name}" for name in http]
        if file.stem in ORDER:
            above += [f"{own}.{noun}" for noun in nouns]
        assert not offenders(iter([file]), *above)


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_imports_inside_app_are_relative(service: Path) -> None:
    absolute = [
        f"{file.name}: {node.module}"
        for file in (service / "app").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.level == 0
        and (node.module or "").split(".")[0] == "app"
    ]

    assert absolute == []


def test_keys_are_written_in_one_place() -> None:
    """No f-string elsewhere begins as a key does."""
    prefixes = (
        "user:",
        "session:",
        "booking:",
        "flight:",
        "rate_limit:",
        "notification:",
        "lease:",
        "fence:",
        "idempotency:",
    )
    code = [
        *COMMON.rglob("*.py"),
        *(file for service in SERVICES for file in (service / "app").glob("*.py")),
    ]
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in code
        if file.name != "keys.py"
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(prefixes)
    ]

    assert found == []
