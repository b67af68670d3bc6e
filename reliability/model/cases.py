"""The searches that show that the protocol keeps its promises, and that it needs each rule."""

from dataclasses import replace

from .rules import Bounds, Rules
from .search import STALE_LEFT, Result, search
from .state import ANSWERED, COMMITTED, SEEN

# The bounds within which no order of steps breaks a promise, and the least number of states: a
# model in which little can happen would break nothing.
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
    "values are refreshed": (Bounds(readers=2, reads=2, refresh=True), 27_000),
}

# For each rule the smallest bounds in which a promise is broken without it, that promise, and the
# length of the shortest way.
CASES = {
    "fence": (Bounds(readers=2, reads=2), SEEN, 11),
    "removal_before_commit": (Bounds(readers=2, reads=2), SEEN, 11),
    "removal_after_commit": (Bounds(readers=2, expiries=1), ANSWERED, 11),
    "unfence_own_only": (Bounds(readers=2, reads=2, writers=2), SEEN, 15),
    "no_own_fill": (Bounds(), COMMITTED, 3),
    "lease_in_publish": (Bounds(readers=2), ANSWERED, 10),
    "invalidation_takes_lease": (Bounds(readers=2), ANSWERED, 10),
    "load_in_new_session": (Bounds(readers=2), ANSWERED, 10),
    "share_only_accepted_fills": (Bounds(readers=2, one_process=True), ANSWERED, 13),
    "close_before_fill": (Bounds(readers=2, one_process=True), ANSWERED, 13),
    "record": (Bounds(crashes=1), ANSWERED, 10),
    "strict_waits": (Bounds(strict=True, cuts=2), ANSWERED, 6),
    "sweep": (Bounds(cuts=2), STALE_LEFT, 5),
    "sweep_takes_lease": (Bounds(cuts=2), STALE_LEFT, 12),
    "sweep_takes_lease_first": (Bounds(cuts=2), STALE_LEFT, 12),
    "sweep_leaves_fences": (Bounds(readers=2, reads=2, writes=2), SEEN, 20),
    "replay_on_connect": (Bounds(crashes=1), ANSWERED, 9),
    "replay_done_records": (Bounds(crashes=1), ANSWERED, 11),
    "replay_takes_lease": (Bounds(readers=2, crashes=1), ANSWERED, 16),
    "marker_after_replay": (Bounds(readers=2, crashes=1), ANSWERED, 10),
    "purge_after_a_minute": (Bounds(crashes=1), ANSWERED, 13),
    "purge_only_when_marked": (Bounds(crashes=1, minutes=1), ANSWERED, 14),
}


def search_without(rule: str) -> Result:
    """The shortest way to break a promise when the rule is switched off."""
    return search(replace(Rules(), **{rule: False}), CASES[rule][0])


def print_cases(rule: str | None) -> bool:
    """Print what each rule is for, or the search without one. Whether a promise is broken."""
    if rule is not None:
        found = search_without(rule)
        print(found)
        return bool(found.broken)
    broken = False
    for name, (bounds, _) in CONFIGURATIONS.items():
        found = search(Rules(), bounds)
        print(f"{name}: {found}")
        broken = broken or bool(found.broken)
    for name, (_, promise, steps) in CASES.items():
        print(f"without {name}: {promise}, in {steps} steps")
    return broken
