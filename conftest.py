"""For every run of pytest: the plugins, one service at a time, and what counts as slow."""

from pathlib import Path
from typing import Any

import pytest

pytest_plugins = [
    f"common.pyportal_common.testing.{name}" for name in ("plugin", "redis_kinds", "kit")
]

ROOT = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a run over several services: each of them calls its package `app`."""
    paths = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    tested = {path.relative_to(ROOT).parts[:1] for path in paths if path.is_relative_to(ROOT)}
    services = [part for part in tested if part and part[0].endswith("-service")]
    if () in tested or (services and len(tested) > 1):
        raise pytest.UsageError("Run the tests of one service or tests/ at a time: see `make test`")


@pytest.fixture(scope="session")
def redis_options(redis_kind: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With `--redis plain-acl` and the like, every server has the users of redis/users.acl."""
    if not redis_kind.acl:
        return {}
    from common.pyportal_common.testing.users import with_passwords  # pytest rewrites it first

    file = tmp_path_factory.mktemp("acl") / "users.acl"
    file.write_text(with_passwords((ROOT / "redis" / "users.acl").read_text("utf-8")))
    return {"aclfile": str(file)}


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests on PostgreSQL as slow: `make test` runs them on SQLite only."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "postgresql" in callspec.params.values():
            item.add_marker("slow")
