"""Prints what each extension offers: its settings, its methods and their parameters, as JSON."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import flask_caching
import flask_limiter
import flask_session
from flask_session.base import ServerSideSession, ServerSideSessionInterface

_COMMON = {"self", "app", "args", "kwargs"}


def settings(module: ModuleType, prefix: str) -> Iterator[str]:
    """The variables that the code of a package names as a text, or as a default."""
    for file in Path(str(module.__file__)).parent.rglob("*.py"):
        yield from re.findall(rf"[\"'\s.]({prefix}_[A-Z_]+)[\"'\s,)\]]", file.read_text("utf-8"))


def methods(of: type) -> Iterator[str]:
    """The public methods and properties of a class that it defines itself."""
    yield from (name for name in vars(of) if not name.startswith("_") and name != "init_app")


def parameters(*functions: Any) -> Iterator[str]:
    """The parameters of functions."""
    for function in functions:
        yield from (name for name in inspect.signature(function).parameters if name not in _COMMON)


def main() -> None:
    """Print them by the name of the page that must mention them."""
    cache, limiter = flask_caching.Cache, flask_limiter.Limiter
    found = {
        "flask-caching": [
            *settings(flask_caching, "CACHE"),
            *methods(cache),
            *parameters(cache, cache.cached, cache.memoize, cache.delete_cached),
        ],
        "flask-limiter": [
            *settings(flask_limiter, "RATELIMIT"),
            *methods(limiter),
            *parameters(limiter, limiter.limit, limiter.shared_limit, limiter.exempt),
            *flask_limiter.__all__,
        ],
        "flask-session": [
            *settings(flask_session, "SESSION"),
            *methods(ServerSideSession),
            "regenerate",
            "should_set_storage",
        ],
    }
    assert hasattr(ServerSideSessionInterface, "regenerate")
    print(json.dumps({page: sorted(set(names)) for page, names in found.items()}))


if __name__ == "__main__":
    main()
