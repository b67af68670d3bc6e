"""`make chaos-notifications`. The exit status is 0 only without violations."""

import argparse
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

from ..report import print_counts
from ..setting import Setting
from .check import check, repeated
from .run import Outcome, run

MUTANTS = ("sweeper", "id")
_SHOWN = 20  # violations


def main() -> int:
    """Run, check and print."""
    wanted = _arguments()
    logging.basicConfig(level=logging.CRITICAL)  # outages are what this is about
    database = "postgresql" if wanted.postgres else "sqlite"
    without = f", without {wanted.without}" if wanted.without else ""
    print(
        f"{wanted.number} notifications in {wanted.seconds:g} s on {database},"
        f" seed {wanted.seed}{without}",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="pyportal-chaos-") as name:
        setting = Setting(Path(name), 0, wanted.seconds, wanted.seed, wanted.without)
        outcome = run(setting, wanted.number, postgres=wanted.postgres)
    violations = _violations(outcome)
    _report(outcome, violations)
    return int(bool(violations))


def _violations(outcome: Outcome) -> list[str]:
    return [
        *(f"a request was not taken: {request}" for request in outcome.told.unheard),
        *check(outcome.told.accepted, outcome.state),
        *(f"{name} did not end well" for name in outcome.ended_badly),
    ]


def _report(outcome: Outcome, violations: list[str]) -> None:
    told, state = outcome.told, outcome.state
    print(f"{len(told.accepted)} notifications accepted in {outcome.took:.0f} s")
    print_counts(Counter(accepted.channel for accepted in told.accepted))
    print(f"{sum(told.repeats.values())} requests sent again, after")
    print_counts(told.repeats)
    print(f"{sum(outcome.faults.values())} faults")
    print_counts(outcome.faults)
    print(f"{len(state.rows)} notifications, and how they ended")
    print_counts(Counter(f"{row.channel} {row.status}" for row in state.rows))
    print("attempts that they took")
    print_counts(Counter(f"{row.attempts:3}" for row in state.rows))
    print(f"{len(state.arrivals)} arrivals")
    print_counts(Counter(arrival.channel for arrival in state.arrivals))
    print("of which repeat another, with the same id")
    print_counts(repeated(state.arrivals))
    print(f"all accepted {outcome.until_accepted:.1f} s after the last fault")
    if outcome.until_final is not None:
        print(f"all final {outcome.until_final:.1f} s after the last fault")
    print(f"{len(violations)} violations")
    for violation in violations[:_SHOWN]:
        print(f"! {violation}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos.notifications", description=__doc__)
    parser.add_argument("--number", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--seconds", type=float, default=60, help="of faults (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of every chance (default: 1)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, not SQLite")
    parser.add_argument("--without", choices=MUTANTS, help="to see that it is needed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
