"""For every pytest run: the plugin, and no more than one service."""

from pathlib import Path

import pytest

pytest_plugins = ["common.pyportal_common.testing.plugin", "common.pyportal_common.testing.kit"]

ROOT = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a run over several services: each of them calls its package `app`."""
    paths = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    tested = {path.relative_to(ROOT).parts[:1] for path in paths if path.is_relative_to(ROOT)}
    services = [part for part in tested if part and part[0].endswith("-service")]
    if () in tested or (services and len(tested) > 1):
        raise pytest.UsageError("one run tests one service, or tests/: see `make test`")
