"""`make bench`, or `python -m benchmarks NAME`: run all benchmarks, or one."""

import sys

from . import cache, forgot, layer, login, notifications, outage, peers, tasks

BENCHMARKS = {
    "layer": layer.run,
    "cache": cache.run,
    "outage": outage.run,
    "login": login.run,
    "forgot": forgot.run,
    "peers": peers.run,
    "tasks": tasks.run,
    "notifications": notifications.run,
}


def main() -> int:
    """Run what the command line names. Returns the exit status."""
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        print(f"There is no benchmark {unknown[0]}: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names:
        print(f"## {name}\n")
        BENCHMARKS[name]()
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
