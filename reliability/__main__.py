"""`make stress`, or `python -m stress`. The exit status is 0 only without violations."""

import argparse
import logging
import sys

from .check import check
from .report import report
from .run import run


def main() -> int:
    """Run, check and print."""
    wanted = _arguments()
    logging.basicConfig(level=logging.CRITICAL)  # outages are what this is about
    how = "plain cache-aside" if wanted.plain else "the protocol"
    print(f"{how} on {wanted.database}, seed {wanted.seed}, {wanted.seconds:g} s", flush=True)
    history = run(
        seconds=wanted.seconds, seed=wanted.seed, database=wanted.database, plain=wanted.plain
    )
    verdict = check(history)
    report(history, verdict)
    faulty = bool(verdict.violations) or bool(history.broken)
    return int(faulty and not wanted.plain)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stress", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of every chance (default: 1)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--plain", action="store_true", help="cache-aside, without the protocol")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
