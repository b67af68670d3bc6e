"""The protocol keeps its promises in every order of steps, and no rule of it is idle."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from .rules import Bounds, Rules
from .search import search

COMMITTED = "only committed values"
ANSWERED = "nothing older than what was answered"
SEEN = "nothing older than what was seen"
LEFT = "nothing old is left behind"

# What the whole protocol is searched within, and a floor of how many states that has: a model in
# which little can happen breaks nothing.
CONFIGURATIONS = {
    "a crash, two readers": (Bounds(readers=2, crashes=1), 190_000),
    "two crashes and a kill": (Bounds(crashes=2, kills=1), 60_000),
    "everything goes wrong once": (
        Bounds(crashes=1, kills=1, cuts=1, expiries=1, minutes=1),
        80_000,
    ),
    "two writers": (Bounds(readers=2, writers=2), 130_000),
    "fences and leases end": (Bounds(readers=2, reads=2, expiries=1, kills=1), 80_000),
    "a strict writer": (Bounds(reads=2, strict=True, crashes=1, cuts=1), 32_000),
    "records are purged": (Bounds(reads=2, crashes=1, minutes=1), 28_000),
    "threads share loads": (Bounds(readers=2, reads=2, one_process=True, cuts=1), 80_000),
    "values are loaded anew": (Bounds(readers=2, reads=2, refresh=True), 27_000),
}

# The smallest bounds that show what each rule is for, the promise that is broken without it, and
# in how many steps.
CASES = {
    "fence": (Bounds(readers=2, reads=2), SEEN, 11),
    "removal_before_commit": (Bounds(readers=2, reads=2), SEEN, 11),
    "removal_after_commit": (Bounds(readers=2, expiries=1), ANSWERED, 11),
    "lift_own_fence_only": (Bounds(readers=2, reads=2, writers=2), SEEN, 15),
    "no_own_fill": (Bounds(), COMMITTED, 3),
    "lease_in_publish": (Bounds(readers=2), ANSWERED, 10),
    "invalidation_takes_lease": (Bounds(readers=2), ANSWERED, 10),
    "load_in_new_session": (Bounds(readers=2), ANSWERED, 10),
    "share_only_accepted_fills": (Bounds(readers=2, one_process=True), ANSWERED, 13),
    "close_before_fill": (Bounds(readers=2, one_process=True), ANSWERED, 13),
    "record": (Bounds(crashes=1), ANSWERED, 10),
    "strict_waits": (Bounds(strict=True, cuts=2), ANSWERED, 6),
    "sweep": (Bounds(cuts=2), LEFT, 5),
    "sweep_takes_lease": (Bounds(cuts=2), LEFT, 12),
    "sweep_takes_lease_first": (Bounds(cuts=2), LEFT, 12),
    "sweep_leaves_fences": (Bounds(readers=2, reads=2, writes=2), SEEN, 20),
    "greeting": (Bounds(crashes=1), ANSWERED, 9),
    "replay_done_records": (Bounds(crashes=1), ANSWERED, 11),
    "replay_takes_lease": (Bounds(readers=2, crashes=1), ANSWERED, 16),
    "marker_after_replay": (Bounds(readers=2, crashes=1), ANSWERED, 10),
    "purge_after_a_minute": (Bounds(crashes=1), ANSWERED, 13),
    "purge_when_known": (Bounds(crashes=1, minutes=1), ANSWERED, 14),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_order_of_steps_breaks_a_promise(name: str) -> None:
    bounds, floor = CONFIGURATIONS[name]

    found = search(Rules(), bounds)

    assert not found.broken, found
    assert found.states >= floor


@pytest.mark.parametrize("rule", CASES)
def test_without_any_one_rule_a_promise_is_broken(rule: str) -> None:
    bounds, promise, steps = CASES[rule]

    found = search(replace(Rules(), **{rule: False}), bounds)

    assert found.broken == promise, found
    assert len(found.trace) - 1 == steps, found


def test_within_the_same_bounds_all_rules_together_break_nothing() -> None:
    searched = {bounds for bounds, _ in CONFIGURATIONS.values()}
    # Two writers and four reads are a million states: two reads are among the configurations.
    cases = {bounds for bounds, _, _ in CASES.values() if bounds.writers == 1}

    for bounds in cases - searched:
        found = search(Rules(), bounds)

        assert not found.broken, found


def test_each_rule_has_its_case_and_its_line_in_the_readme() -> None:
    said = (Path(__file__).parent / "README.md").read_text("utf-8")

    assert list(CASES) == [rule.name for rule in fields(Rules)]
    for rule, (_, promise, steps) in CASES.items():
        assert f"| `{rule}` | {promise} | {steps} |" in said
