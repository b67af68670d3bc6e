"""Runs the functions of a module of this folder: python -m tests.semantics.run caching_theirs

Each is one behaviour. What it returns is printed as JSON, by its name; an exception counts as its
class's name. Redis is emptied before each.
"""

import importlib
import inspect
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from redis import Redis


def main() -> None:
    """Run them all."""
    logging.disable()
    warnings.simplefilter("ignore")
    module = importlib.import_module(f"tests.semantics.{sys.argv[1]}")
    functions = dict(_functions_of(module))
    print(json.dumps({name: _result_of(function) for name, function in functions.items()}))


def _functions_of(module: ModuleType) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The public functions of a module, or the methods of its `behaviours`."""
    for name, each in inspect.getmembers(getattr(module, "behaviours", module)):
        own = inspect.ismethod(each) or getattr(each, "__module__", "") == module.__name__
        if own and not name.startswith("_"):
            yield name, each


def _result_of(function: Callable[[], Any]) -> Any:
    with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        redis.flushall()
    try:
        return function()
    except Exception as error:  # noqa: BLE001  it is the result
        return type(error).__name__


if __name__ == "__main__":
    main()
