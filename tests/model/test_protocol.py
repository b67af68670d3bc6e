"""The protocol keeps its promises in every order of steps, and no rule of it is idle."""

from dataclasses import fields, replace

import pytest

from .rules import Bounds, Rules
from .search import search

COMMITTED = "only committed values"
ANSWERED = "nothing older than what was answered"
SEEN = "nothing older than what was seen"
LEFT = "nothing old is left behind"

# What the whole protocol is searched with, and a floor of how many states that visits: a model in
# which little can happen finds nothing.
CONFIGURATIONS = {
    "a crash, two readers": (Bounds(readers=2, crashes=1), 150_000),
    "two writers": (Bounds(readers=2, writers=2), 1),
    "fences and leases end": (Bounds(readers=2, reads=2, expiries=1, kills=1), 1),
    "strict, cut off, and a crash": (Bounds(reads=2, strict=True, crashes=1, cuts=1), 1),
    "purged, and a crash": (Bounds(reads=2, crashes=1, minutes=1), 1),
    "threads share loads": (Bounds(readers=2, reads=2, one_process=True, cuts=1), 1),
    "loaded anew while it is there": (Bounds(readers=2, reads=2, refresh=True), 1),
}

# The smallest bounds that show what each rule is for, and the promise that is broken without it.
CASES = {
    "fence": (Bounds(readers=2, reads=2), SEEN),
    "removal_before_commit": (Bounds(readers=2, reads=2), SEEN),
    "removal_after_commit": (Bounds(readers=2, expiries=1), ANSWERED),
    "lift_own_fence_only": (Bounds(readers=2, reads=2, writers=2), SEEN),
    "no_own_fill": (Bounds(), COMMITTED),
    "lease_in_publish": (Bounds(readers=2), ANSWERED),
    "invalidation_takes_lease": (Bounds(readers=2), ANSWERED),
    "load_in_new_session": (Bounds(readers=2), ANSWERED),
    "share_only_accepted_fills": (Bounds(readers=2, one_process=True), ANSWERED),
    "close_before_fill": (Bounds(readers=2, one_process=True), ANSWERED),
    "record": (Bounds(crashes=1), ANSWERED),
    "strict_waits": (Bounds(strict=True, cuts=2), ANSWERED),
    "sweep": (Bounds(cuts=2), LEFT),
    "sweep_takes_lease": (Bounds(cuts=2), LEFT),
    "sweep_takes_lease_first": (Bounds(cuts=2), LEFT),
    "sweep_leaves_fences": (Bounds(readers=2, reads=2, writes=2), SEEN),
    "greeting": (Bounds(crashes=1), ANSWERED),
    "replay_done_records": (Bounds(crashes=1), ANSWERED),
    "replay_takes_lease": (Bounds(readers=2, crashes=1), ANSWERED),
    "marker_after_replay": (Bounds(readers=2, crashes=1), ANSWERED),
    "purge_after_a_minute": (Bounds(crashes=1), ANSWERED),
    "purge_when_known": (Bounds(crashes=1, minutes=1), ANSWERED),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_order_of_steps_breaks_a_promise(name: str) -> None:
    bounds, floor = CONFIGURATIONS[name]

    found = search(Rules(), bounds)

    assert not found.broken, found
    assert found.states >= floor


def test_each_rule_has_its_case() -> None:
    assert list(CASES) == [rule.name for rule in fields(Rules)]


@pytest.mark.parametrize("rule", CASES)
def test_without_any_one_rule_a_promise_is_broken(rule: str) -> None:
    bounds, promise = CASES[rule]

    found = search(replace(Rules(), **{rule: False}), bounds)

    assert found.broken == promise, found
