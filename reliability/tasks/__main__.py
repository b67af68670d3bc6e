"""`make chaos-tasks`, or `python -m chaos`. The exit status is 0 only without violations."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from .check import check
from .outcome import Outcome
from .report import report
from .run import run
from .setting import MUTANTS, Setting


def main() -> int:
    """Run, check and print."""
    wanted = _arguments()
    logging.basicConfig(level=logging.CRITICAL)  # outages are what this is about
    database = "postgresql" if wanted.postgres else "sqlite"
    without = f", without {wanted.without}" if wanted.without else ""
    print(
        f"{wanted.bookings} bookings in {wanted.seconds:g} s on {database}, seed {wanted.seed}"
        f"{without}",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="pyportal-chaos-") as name:
        folder = Path(name)
        setting = Setting(folder, wanted.bookings, wanted.seconds, wanted.seed, wanted.without)
        outcome = run(setting, postgres=wanted.postgres)
    violations = _violations(outcome)
    report(outcome, violations)
    return int(bool(violations))


def _violations(outcome: Outcome) -> list[str]:
    return [
        *(f"a request was not taken: {request}" for request in outcome.told.unheard),
        *check(outcome.told.accepted, outcome.state),
        *(f"{name} did not end well" for name in outcome.ended_badly),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--bookings", type=int, default=600, help="how many (default: 600)")
    parser.add_argument("--seconds", type=float, default=60, help="of faults (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of every chance (default: 1)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, not SQLite")
    parser.add_argument("--without", choices=MUTANTS, help="to see that it is needed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
