"""`python -m reliability TOPIC`: cache, http, tasks, notifications, topologies, steady or model.

See reliability/README.md.

The exit status is 0 only if every promise held; with `cache --plain`, always.
"""

import argparse
import logging
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.pyportal_common.testing.redis_kinds import KINDS, RedisKind

from .report import print_counts, report
from .settings import RunSettings, use_service


def main() -> int:
    """Run, check and print."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.CRITICAL)  # the runs cause the outages that would be logged
    print(" ".join(f"{k}={v}" for k, v in vars(arguments).items() if k != "run"), flush=True)
    if arguments.topic == "model":
        return int(arguments.run(arguments))
    with tempfile.TemporaryDirectory(prefix="pyportal-reliability-") as folder:
        settings = RunSettings(
            folder=Path(folder),
            seed=arguments.seed,
            seconds=getattr(arguments, "seconds", 0.0),  # of a run with a fixed length
            database=arguments.database,
            mutant=arguments.without,
        )
        return int(arguments.run(settings, arguments))


# The runs import their services' packages and many libraries, each only its own.


def _cache(settings: RunSettings, _: Any) -> bool:
    use_service("usermanagement-service")
    from .cache.checker import check
    from .cache.report import report as report_cache
    from .cache.run import run

    history = run(settings)
    verdict = check(history)
    report_cache(history, verdict)
    return settings.mutant is None and bool(verdict.violations or history.errors)


IN_DOCS = ("plain", "sentinel", "plain-tls", "sentinel-tls")
"""The topologies with a table in docs/reliability.md."""

HTTP_LAYOUTS = ("together", "databases", "apart")


def _http(settings: RunSettings, arguments: Any) -> bool:
    use_service("usermanagement-service")
    from .http.checker import check
    from .http.report import report as report_http
    from .http.run import HttpRun

    layouts = HTTP_LAYOUTS if arguments.sessions == "all" else (arguments.sessions,)
    failed = False
    for layout in layouts:
        folder = settings.folder / layout
        folder.mkdir()
        run = HttpRun(
            replace(settings, folder=folder),
            arguments.operations // len(layouts),
            instances=arguments.instances,
            layout=layout,
            trust_seconds=arguments.trust,
        )
        history = run.execute()
        verdict = check(history)
        report_http(layout, history, verdict)
        failed = failed or bool(verdict.stale)
    return failed


def _tasks(settings: RunSettings, arguments: Any) -> bool:
    from .tasks.run import TaskRun

    outcome = TaskRun(settings, arguments.bookings).execute()
    report(outcome)
    return bool(outcome.violations)


def _notifications(settings: RunSettings, arguments: Any) -> bool:
    from .notifications.checker import repeated
    from .notifications.run import NotificationRun

    outcome = NotificationRun(settings, arguments.number).execute()
    report(outcome)
    print_counts("deliveries repeat another one", repeated(outcome.state.deliveries))
    return bool(outcome.violations)


def _topologies(settings: RunSettings, arguments: Any) -> bool:
    from .topologies.report import report as report_results
    from .topologies.report import write
    from .topologies.run import TopologyRun

    failed = False
    for name in arguments.topology or IN_DOCS:
        folder = settings.folder / name
        folder.mkdir()
        kind = RedisKind.parse(name)
        results = TopologyRun(replace(settings, folder=folder), kind, arguments.fault).execute()
        report_results(name, results)
        if arguments.write:
            write(name, results)
        failed = failed or any(result.violations for result in results)
    return failed


def _steady(settings: RunSettings, arguments: Any) -> bool:
    from .steady.report import report as report_steady
    from .steady.report import write_plot
    from .steady.run import SteadyRun

    outcome = SteadyRun(replace(settings, seconds=60 * arguments.minutes)).execute()
    report_steady(outcome)
    if arguments.write:
        write_plot(outcome)
    return bool(outcome.violations)


def _model(arguments: Any) -> bool:
    from .model.cases import print_cases

    return print_cases(arguments.without)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reliability", description=__doc__)
    topics = parser.add_subparsers(dest="topic", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--seed", type=int, default=1, help="of all random numbers (default: 1)")
    common.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    common.add_argument(
        "--postgres", dest="database", action="store_const", const="postgresql", help="the same"
    )

    timed = argparse.ArgumentParser(add_help=False, parents=[common])
    timed.add_argument("--seconds", type=float, default=60, help="of faults (default: 60)")

    def add(name: str, text: str, run: Any, **options: Any) -> argparse.ArgumentParser:
        topic = topics.add_parser(name, help=text, description=text, **options)
        topic.set_defaults(run=run)
        return topic

    def add_without(topic: argparse.ArgumentParser, *mutants: str) -> None:
        text = "leave this out, to show that it is needed and that the checks find it"
        topic.add_argument("--without", choices=mutants, help=text)

    cache = add("cache", "cache consistency under failures", _cache, parents=[timed])
    cache.add_argument(
        "--plain", dest="without", action="store_const", const="protocol", help="plain cache-aside"
    )
    http = add("http", "nothing stale over HTTP after an answer", _http, parents=[common])
    http.add_argument("--operations", type=int, default=100_000, help="(default: 100000)")
    instances = "of the service, as on hosts of their own (default: 2)"
    http.add_argument("--instances", type=int, default=2, help=instances)
    http.add_argument("--sessions", choices=[*HTTP_LAYOUTS, "all"], default="all")
    http.add_argument("--trust", type=float, default=2.0, help="CACHE_TRUST_SECONDS (default: 2)")
    add_without(http, "waiting", "renewal-write", "trust-of-reads")
    tasks = add("tasks", "tasks take effect exactly once", _tasks, parents=[timed])
    tasks.add_argument("--bookings", type=int, default=600, help="(default: 600)")
    add_without(tasks, "sweeper", "transaction")
    number = add("notifications", "notifications are delivered", _notifications, parents=[timed])
    number.add_argument("--number", type=int, default=1000, help="(default: 1000)")
    add_without(number, "sweeper", "id")
    topologies = add("topologies", "faults in each topology", _topologies, parents=[common])
    topologies.add_argument(
        "--topology", choices=KINDS, action="append", help=f"(default: {', '.join(IN_DOCS)})"
    )
    topologies.add_argument(
        "--fault", action="append", default=[], metavar="NAME", help="(default: all)"
    )
    topologies.add_argument("--write", action="store_true", help="into docs/reliability.md")
    topologies.set_defaults(without=None)
    steady = add("steady", "memory and descriptors do not grow", _steady, parents=[common])
    steady.add_argument("--minutes", type=float, default=20, help="(default: 20)")
    steady.add_argument("--write", action="store_true", help="the plot into docs/steady.svg")
    steady.set_defaults(without=None)
    model = add("model", "every order of steps of the cache protocol", _model)
    model.add_argument("--without", metavar="RULE", help="the shortest way to break a promise")
    return parser


if __name__ == "__main__":
    sys.exit(main())
