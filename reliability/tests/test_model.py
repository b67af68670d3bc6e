"""The protocol keeps its promises in every order of steps, and it needs each of its rules."""

from collections.abc import Iterable
from dataclasses import fields

import pytest

from reliability.model.cases import CASES, CONFIGURATIONS, LARGE, LARGE_CASES, search_without
from reliability.model.rules import Rules
from reliability.model.search import search


def in_two_parts(names: Iterable[str], large: Iterable[str]) -> list[object]:
    """The large ones take a minute in all."""
    slow = set(large)
    return [pytest.param(each, marks=[pytest.mark.slow] * (each in slow)) for each in names]


@pytest.mark.parametrize("name", in_two_parts(CONFIGURATIONS, LARGE))
def test_no_order_of_steps_breaks_a_promise(name: str) -> None:
    bounds, least_states = CONFIGURATIONS[name]

    found = search(Rules(), bounds)

    assert not found.broken, found
    assert found.states >= least_states


@pytest.mark.parametrize("rule", in_two_parts(CASES, LARGE_CASES))
def test_without_any_one_rule_a_promise_is_broken(rule: str) -> None:
    _, promise, steps = CASES[rule]

    found = search_without(rule)

    assert found.broken == promise, found
    assert len(found.trace) - 1 == steps, found


@pytest.mark.slow
def test_within_the_same_bounds_all_rules_together_break_no_promise() -> None:
    searched = {bounds for bounds, _ in CONFIGURATIONS.values()}
    # Two writers and four reads are a million states: two reads are among the configurations.
    cases = {bounds for bounds, _, _ in CASES.values() if bounds.writers == 1}

    for bounds in cases - searched:
        found = search(Rules(), bounds)

        assert not found.broken, found


def test_each_rule_has_a_case() -> None:
    assert list(CASES) == [rule.name for rule in fields(Rules)]
