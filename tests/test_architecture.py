"""The import rule: one line a package, and nothing imports against it. See docs/architecture.md."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVICES = sorted(path.name for path in ROOT.glob("*-service"))
COMMON = "common.pyportal_common"
LAYER = f"{COMMON}.cache_handlers"

# What each package of common may import of the others.
PACKAGES = {
    "named_urls": set(),
    "setting_errors": set(),
    "secret_files": set(),
    "settings": {"named_urls", "secret_files", "setting_errors"},
    "exits": set(),
    "extras": set(),
    "fields": {"extras"},
    "findings": set(),
    "command_examples": {"extras"},
    "logging": {"extras", "spans"},
    "metrics": {"extras"},
    "redis_server": set(),
    "spans": {"otel_traces"},
    "cache_handlers": {"settings", "spans"},
    "db": {"cache_handlers", "settings", "extras"},
    "outbound": {"extras", "spans"},
    "jobs": {
        *("db", "cache_handlers", "settings", "outbound", "logging", "exits", "extras", "spans"),
        "findings",
    },
    "operations": {
        *("jobs", "db", "cache_handlers", "settings", "extras", "findings", "outbound"),
    },
    "admin_settings": {"named_urls", "settings", "cache_handlers"},
    "admin": {
        "commands",
        "operations",
        "jobs",
        "db",
        "cache_handlers",
        "web",
        "extension",
        "metrics",
        "admin_settings",
        "extras",
        "fields",
    },
    "commands": {"operations", "jobs", "db", "cache_handlers", "extras", "command_examples"},
    "extension": {"db", "cache_handlers", "settings", "extras"},
    "web": {
        *("db", "cache_handlers", "settings", "metrics", "logging", "extension", "extras"),
        *("spans", "command_examples"),
    },
    "gunicorn": {"metrics", "logging", "settings", "exits", "extras"},
    "cli": {"cache_handlers", "settings", "redis_server", "extras", "extension"},
    "otel": {"cache_handlers", "extras"},
    "otel_traces": {"extras"},
    "__main__": {"cli"},
    "fake_redis": {"cache_handlers", "extras"},
    "pytest_plugin": {"cache_handlers", "fake_redis", "redis_server", "extras"},
    "testing": {
        *("db", "cache_handlers", "settings", "jobs", "redis_server", "web", "pytest_plugin"),
        *("extras", "commands", "operations", "spans", "otel_traces"),
    },
}

# The same inside the Redis layer: features import the client and the keys, never each other.
FEATURES = {
    "keys": set(),
    "client": {"keys"},
    "cache": {"client", "keys"},
    "sessions": {"client", "keys"},
    "rate_limits": {"client", "keys"},
    "admission": {"client", "keys", "cache", "sessions", "rate_limits"},
    "stores": {"client", "cache", "sessions", "rate_limits"},
}

# The libraries that only these packages of common know.
LIBRARIES = {
    "flask": {"web", "extension", "admin", "testing"},
    "werkzeug": {"web", "extension", "admin", "testing"},
    "redis": {"cache_handlers", "testing"},
    "sqlalchemy": {"db", "jobs", "operations", "commands", "web", "testing"},
    "alembic": {"db"},
    "httpcore": {"outbound"},
    "cronsim": {"jobs"},
    "click": {"cli", "commands", "command_examples", "web"},
    "rich": {"commands"},
    "gunicorn": {"gunicorn"},
    "opentelemetry": {"otel", "otel_traces", "testing"},
    "fakeredis": {"fake_redis"},
    "pytest": {"pytest_plugin", "testing"},
}

# The modules of a service's app that may know Flask.
HTTP_MODULES = {"__init__", "routes", "page_routes", "services", "commands"}

# The modules of an app where requests, commands and workers enter. Nothing but app/__init__ imports
# them, and nothing else imports `services`, which wires the service classes for them.
ENTRY_MODULES = {"routes", "page_routes", "commands", "problems", "worker"}


def imports(file: Path, root: Path) -> Iterator[str]:
    """The absolute names of all modules and names that a file imports, wherever it does."""
    package = list(file.relative_to(root).parent.parts)
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def member_of(name: str, package: str) -> str | None:
    """The direct member of `package` that a name is in: "jobs" for "….pyportal_common.jobs.run"."""
    if not is_within(name, package) or name == package:
        return None
    return name.removeprefix(f"{package}.").partition(".")[0]


def module_of(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def violations(root: Path, package: str, rule: dict[str, set[str]]) -> list[str]:
    """Imports between the members of a package that its rule does not allow."""
    folder = root.joinpath(*package.split("."))
    found = []
    for file in sorted(folder.rglob("*.py")):
        own = member_of(module_of(file, root), package)
        if own is None:  # the package's own __init__ shows what is in it
            continue
        for name in imports(file, root):
            other = member_of(name, package)
            if other in rule and other != own and other not in rule[own]:
                found.append(f"{file.relative_to(root)} imports {name}")
    return found


def offenders(files: Iterator[Path], *forbidden: str) -> list[str]:
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in imports(file, ROOT)
        if is_within(name, *forbidden)
    ]


def modules_in(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*.py")) if "tests" not in file.parts)


def test_the_packages_of_common_import_each_other_by_the_rule() -> None:
    assert violations(ROOT, COMMON, PACKAGES) == []


def test_the_features_of_the_redis_layer_import_only_client_and_keys() -> None:
    assert violations(ROOT, LAYER, FEATURES) == []


def test_every_package_is_in_the_rule() -> None:
    def members(package: str) -> set[str]:
        folder = ROOT.joinpath(*package.split("."))
        return {path.stem for path in folder.iterdir() if (path / "__init__.py").exists()} | {
            file.stem for file in folder.glob("*.py") if file.stem != "__init__"
        }

    assert members(COMMON) == set(PACKAGES)
    assert members(LAYER) == set(FEATURES)


@pytest.mark.parametrize(
    ("importing", "imported"),
    [
        ("jobs/sweeper.py", "from ..web import respond"),
        ("web/health.py", "from ..jobs.store import Jobs"),
        ("db/engines.py", "import common.pyportal_common.jobs"),
        ("cache_handlers/client/client.py", "from ...db import Database"),
        ("outbound/http.py", "def call():\n    from ..testing import relay"),
    ],
)
def test_an_import_against_the_rule_is_reported(
    tmp_path: Path, importing: str, imported: str
) -> None:
    file = tmp_path / "common" / "pyportal_common" / importing
    file.parent.mkdir(parents=True)
    file.write_text(imported)

    (violation, *_) = violations(tmp_path, COMMON, PACKAGES)

    assert violation.startswith(f"common/pyportal_common/{importing} imports ")


def test_a_feature_that_imports_another_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "common" / "pyportal_common" / "cache_handlers" / "cache" / "cache.py"
    file.parent.mkdir(parents=True)
    file.write_text("from ..sessions.store import SessionStore")

    assert len(violations(tmp_path, LAYER, FEATURES)) > 0


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_a_library_is_known_only_where_it_belongs(library: str) -> None:
    folder = ROOT.joinpath(*COMMON.split("."))
    files = (
        file
        for file in modules_in(folder)
        if member_of(module_of(file, ROOT), COMMON) not in LIBRARIES[library]
    )

    assert offenders(files, library) == []


def test_services_workers_and_apps_do_not_make_their_own_stores() -> None:
    makers = {"Cache", "Limiter", "SessionStore", "Admission"}
    folders = [ROOT / "common" / "pyportal_common" / name for name in ("extension", "jobs", "web")]
    found = {
        module_of(file, ROOT)
        for folder in folders
        for file in modules_in(folder)
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers
    }

    assert found == {f"{COMMON}.extension.state"}  # which makes the Admission


def test_no_request_goes_through_a_proxy_of_the_environment() -> None:
    """urllib and requests use HTTP_PROXY, also for addresses of this machine."""
    folders = (path.parent for path in ROOT.glob("*/*.py"))
    files = (file for folder in {*folders} for file in folder.rglob("*.py"))

    assert offenders(files, "urllib.request", "requests", "urllib3") == []


def test_imports_have_no_cycles() -> None:
    folders = [ROOT / "common", *(ROOT / service / "app" for service in SERVICES)]
    files = {module_of(file, ROOT): file for folder in folders for file in modules_in(folder)}
    graph = {
        module: {
            target
            for name in imports(file, ROOT)
            for target in (name, name.rpartition(".")[0])
            if target in files and target != module and not is_within(module, target)
        }
        for module, file in files.items()
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_common_knows_no_service_and_no_tool() -> None:
    files = modules_in(ROOT / "common")

    assert offenders(files, "app", "wsgi", "local", "benchmarks", "reliability", *SERVICES) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_uses_the_public_names_of_the_layer(service: str) -> None:
    internals = [
        module_of(file, ROOT)
        for file in (ROOT / "common" / "pyportal_common" / "cache_handlers").rglob("*.py")
        if file.stem not in {"__init__", "keys"}
    ]
    others = [other for other in SERVICES if other != service]

    found = offenders(
        modules_in(ROOT / service), "redis", "local", f"{COMMON}.testing", *internals, *others
    )

    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_flask_stays_in_the_routes_and_the_wiring(service: str) -> None:
    files = (file for file in modules_in(ROOT / service / "app") if file.stem not in HTTP_MODULES)

    assert offenders(files, "flask", "werkzeug") == []


@pytest.mark.parametrize("service", SERVICES)
def test_services_and_models_know_nothing_of_what_calls_them(service: str) -> None:
    app = ROOT / service / "app"
    entries = [file for file in modules_in(app) if file.stem in ENTRY_MODULES]
    callers = [*entries, app / "services.py"]
    others = [file for file in modules_in(app) if file not in [*callers, app / "__init__.py"]]

    assert offenders(iter(others), *(module_of(file, ROOT) for file in callers)) == []
    assert offenders(iter([app / "services.py"]), *(module_of(f, ROOT) for f in entries)) == []


@pytest.mark.parametrize("service", SERVICES)
def test_imports_inside_an_app_are_relative(service: str) -> None:
    absolute = [
        f"{file.relative_to(ROOT)}: {node.module}"
        for file in modules_in(ROOT / service / "app")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.level == 0
        and (node.module or "").split(".")[0] == "app"
    ]

    assert absolute == []


def test_imports_inside_common_are_relative() -> None:
    absolute = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in modules_in(ROOT / "common")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.level == 0
        and is_within(name := node.module or "", "common")
    ]

    assert absolute == []


def test_keys_are_written_in_one_place() -> None:
    prefixes = (
        "user:", "session:", "booking:", "flight:", "rate_limit:",
        "notification:", "lease:", "fence:",
    )  # fmt: skip
    folders = [ROOT / "common", *(ROOT / service / "app" for service in SERVICES)]
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for folder in folders
        for file in modules_in(folder)
        if file.name != "keys.py"
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(prefixes)
    ]

    assert found == []
