"""The `app` packages of services, under names of their own, so that one test can use several."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent


def module_of(service: str, name: str) -> ModuleType:
    """A module of a service: module_of("notification", "users"). Its app/__init__ is not run.

    Services whose tables have the same names cannot be used together.
    """
    package = f"{service}_app"
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [str(ROOT / f"{service}-service" / "app")]
    return importlib.import_module(f"{package}.{name}")
