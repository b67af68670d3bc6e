"""Routes that are compiled once for all apps of a test run."""

from collections.abc import Callable, Hashable
from typing import Any

import pytest
from werkzeug.routing import Rule


def compile_routes_once(patch: pytest.MonkeyPatch) -> None:
    """Keep the functions that werkzeug compiles to make URLs, of rules without defaults.

    They depend on nothing but the text of a rule, and making them is a fifth of the time of tests
    that make an app of a hundred routes each.
    """
    compile_builder = Rule._compile_builder  # noqa: SLF001
    made: dict[Hashable, Callable[..., Any]] = {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> Callable[..., Any]:
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = (rule.rule, *rule._trace, append_unknown)  # noqa: SLF001
        if key not in made:
            made[key] = compile_builder(rule, append_unknown)
        return made[key]

    patch.setattr(Rule, "_compile_builder", compile_once)
