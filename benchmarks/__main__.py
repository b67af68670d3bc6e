"""`make bench`, or `python -m benchmarks [--short] [--write] [NAME…]`.

`python -m benchmarks plan --users 1e6 --rps 5000` measures nothing: see sheet.py.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable

from . import results, sheet
from .cases import (
    cache,
    console,
    costs,
    idle,
    layer,
    login,
    long_polls,
    notifications,
    outage,
    pages,
    reads,
    registration,
    replicas,
    scripts,
    stored_tasks,
    tasks,
    tls,
    traces,
    trust,
)
from .scale import FULL, SHORT, Scale
from .tables import Report

BENCHMARKS: dict[str, Callable[[Scale], Report]] = {
    "reads": reads.run,
    "registration": registration.run,
    "layer": layer.run,
    "tls": tls.run,
    "tasks": tasks.run,
    "stored_tasks": stored_tasks.run,
    "long_polls": long_polls.run,
    "notifications": notifications.run,
    "cache": cache.run,
    "trust": trust.run,
    "scripts": scripts.run,
    "outage": outage.run,
    "login": login.run,
    "traces": traces.run,
    "console": console.run,
    "pages": pages.run,
    "idle": idle.run,
    "costs": costs.run,
    "replicas": replicas.run,
}


def main() -> None:
    """Run the benchmarks that the command line names, or all, or print a plan."""
    if sys.argv[1:2] == ["plan"]:
        sheet.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--short",
        action="store_true",
        help="run each with tiny counts, to check that it works; the figures mean nothing",
    )
    how.add_argument(
        "--write", action="store_true", help="write the figures into README.md, and the plot"
    )
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    reports: dict[str, Report] = {}
    names = given.names or list(BENCHMARKS)
    for name in names:
        report = _run(name, SHORT if given.short else FULL)
        if report is not None:
            reports[name] = report
        if report is not None and given.write:
            results.write(name, report)
    summary = results.summary(reports)
    print(f"## aims\n\n{summary}")
    if given.write and reports.keys() == BENCHMARKS.keys():
        results.write_figures("aims", summary)
    if failed := [name for name in names if name not in reports]:
        raise SystemExit(f"\nThese benchmarks failed: {', '.join(failed)}")


def _run(name: str, scale: Scale) -> Report | None:
    """The report, or None if the benchmark failed: the others run all the same."""
    print(f"## {name}\n", flush=True)
    began = time.monotonic()
    try:
        report = BENCHMARKS[name](scale)
    except (Exception, SystemExit):  # noqa: BLE001  printed, and the run fails at its end
        traceback.print_exc()
        return None
    print(f"{report.markdown()}\n\n{time.monotonic() - began:.0f} s\n", flush=True)
    return report


if __name__ == "__main__":
    main()
