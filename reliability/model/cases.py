"""The searches that show that the protocol keeps its promises, and that it needs each rule."""

from dataclasses import replace

from .rules import Bounds, Rules
from .search import STALE_LEFT, Result, search
from .state import ANSWERED, COMMITTED, REFRESHED, SEEN

# Without sweeps: a renewal that comes too late to give trust does the same.
_TRUST = Bounds(cuts=2, late=True, renewals=1, sweeps=False)
_REFUSED = Bounds(refusals=1, renewals=2, sweeps=False)

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
    "writers fill": (Bounds(readers=2, writers=2, fills=True), 140_000),
    "writers fill and get no reply": (replace(_TRUST, writers=2, fills=True), 280_000),
    "writers fill, and everything goes wrong once": (
        Bounds(fills=True, crashes=1, kills=1, cuts=1, expiries=1, minutes=1),
        100_000,
    ),
    "fences and leases end": (Bounds(readers=2, reads=2, expiries=1, kills=1), 80_000),
    "a writer waits": (Bounds(reads=2, crashes=1, cuts=1), 20_000),
    "records are purged": (Bounds(reads=2, crashes=1, minutes=1), 28_000),
    "threads share loads": (Bounds(readers=2, reads=2, one_process=True, cuts=1), 80_000),
    "values are refreshed": (Bounds(readers=2, reads=2, refresh=True), 27_000),
    "trust is renewed": (replace(_TRUST, renewals=2), 9_000),
    "trust of two processes": (replace(_TRUST, readers=2, late=False), 19_000),
    "trust while writes are refused": (replace(_REFUSED, cuts=1, late=True), 26_000),
    "trust and two reads": (replace(_TRUST, readers=2, reads=2, late=False), 85_000),
    "trust and two writes": (replace(_TRUST, writes=2, late=False, renewals=2), 41_000),
    "trust and a crash": (replace(_TRUST, crashes=1), 45_000),
    "trust and sweeps": (replace(_REFUSED, sweeps=True), 32_000),
    "renewals overlap in a process": (
        replace(_TRUST, readers=2, one_process=True, late=False, renewals=2),
        110_000,
    ),
    "renewals overlap": (replace(_TRUST, readers=2, renewals=2), 310_000),
}
LARGE = [name for name, (_, states) in CONFIGURATIONS.items() if states > 30_000]
"""Those that take more than a second or two."""

# For each rule the smallest bounds in which a promise is broken without it, that promise, and the
# length of the shortest way.
CASES = {
    "fence": (Bounds(readers=2, reads=2), SEEN, 11),
    "removal_before_commit": (Bounds(readers=2, reads=2), SEEN, 11),
    "removal_after_commit": (Bounds(readers=2, expiries=1), ANSWERED, 11),
    "unfence_own_only": (Bounds(readers=2, reads=2, writers=2), SEEN, 15),
    "own_fill_after_commit": (Bounds(), COMMITTED, 3),
    "own_fill_needs_lease": (Bounds(writers=2, fills=True), ANSWERED, 10),
    "own_fill_needs_fence": (replace(_TRUST, writers=2, fills=True), ANSWERED, 12),
    "lease_in_publish": (Bounds(readers=2), ANSWERED, 10),
    "invalidation_takes_lease": (Bounds(readers=2), ANSWERED, 10),
    "load_in_new_session": (Bounds(readers=2), ANSWERED, 10),
    "share_only_accepted_fills": (Bounds(readers=2, one_process=True), ANSWERED, 13),
    "close_before_fill": (Bounds(readers=2, one_process=True), ANSWERED, 13),
    "record": (Bounds(crashes=1), ANSWERED, 10),
    "writer_waits": (Bounds(cuts=2), ANSWERED, 6),
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
    "trust_before_read": (_TRUST, ANSWERED, 10),
    "trust_from_start": (_TRUST, ANSWERED, 9),
    "renewal_takes_young": (_TRUST, ANSWERED, 9),
    "renewal_takes_lease": (_TRUST, STALE_LEFT, 12),
    "renewal_writes": (_REFUSED, ANSWERED, 10),
    "refresh_only_what_was_seen": (Bounds(readers=2, refresh=True), REFRESHED, 6),
}

LARGE_CASES = [
    "own_fill_needs_fence",
    "unfence_own_only",
    "sweep_leaves_fences",
    "replay_takes_lease",
]


def search_without(rule: str) -> Result:
    """The shortest way to break a promise when the rule is switched off."""
    return search(replace(Rules(), **{rule: False}), CASES[rule][0])


def print_cases(rule: str | None) -> bool:
    """Print what each rule is for, or the search without one. Whether a promise is broken."""
    if rule is not None:
        found = search_without(rule)
        print(found)
        return bool(found.broken)
    broken, states = False, 0
    for name, (bounds, _) in CONFIGURATIONS.items():
        found = search(Rules(), bounds)
        print(f"{name}: {found}", flush=True)
        broken, states = broken or bool(found.broken), states + found.states
    print(f"{states:,} states in all")
    for name, (_, promise, steps) in CASES.items():
        print(f"without {name}: {promise}, in {steps} steps")
    return broken
