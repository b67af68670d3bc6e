"""`make bench`, or `python -m benchmarks [--short] [NAME…]`: run all benchmarks, or some."""

import argparse

from . import cache, layer, login, notifications, outage, peers, scripts, tasks, trust
from .scale import FULL, SHORT

BENCHMARKS = {
    "layer": layer.run,
    "cache": cache.run,
    "trust": trust.run,
    "scripts": scripts.run,
    "outage": outage.run,
    "login": login.run,
    "forgot": login.run_forgot,
    "peers": peers.run,
    "tasks": tasks.run,
    "notifications": notifications.run,
}


def main() -> None:
    """Run the benchmarks that the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--short",
        action="store_true",
        help="run each with tiny counts, to check that it works; the figures mean nothing",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    if given.short:
        print("A short run: it checks that the benchmarks work, and its figures mean nothing.\n")
    for name in given.names or BENCHMARKS:
        print(f"## {name}\n", flush=True)
        BENCHMARKS[name](SHORT if given.short else FULL)
        print(flush=True)


if __name__ == "__main__":
    main()
