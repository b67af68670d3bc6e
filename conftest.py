"""For every pytest run: the plugin, and one service a run."""

import sys
from pathlib import Path

import pytest

pytest_plugins = ["common.pyportal_common.testing"]

ROOT = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Put the tested service first on the path. Each of them calls its package `app`."""
    paths = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    parts = {path.relative_to(ROOT).parts[:1] for path in paths if path.is_relative_to(ROOT)}
    tested = {part[0] if part else "everything" for part in parts}
    services = {name for name in tested if name.endswith("-service")}
    if services and len(tested) > 1:
        raise pytest.UsageError(
            f"one run tests one service, not {', '.join(sorted(tested))}: see `make test`"
        )
    for service in services:
        sys.path.insert(0, str(ROOT / service))
