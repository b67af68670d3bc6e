"""The worker of a service, which crashes at the points where a job could be lost or done twice.

It needs nothing of the service but `python -m app.worker`: everything is patched in `common`.
"""

import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from common.pyportal_common.jobs import Jobs, Outcome, Run
from common.pyportal_common.jobs.endings import Effect
from common.pyportal_common.jobs.sweeper import Sweeper

from .crash_points import CrashPoints, wrap
from .settings import RunSettings, process_name

_AFTER_CLAIM = 0.02
_AFTER_EFFECTS = 0.1  # with the mutant "transaction"
_BEFORE_COMMIT = 0.02
_AFTER_COMMIT = 0.02
_AFTER_MAKE_DUE = 0.1
_PAUSE_AFTER_CLAIM = 0.3
_MAX_PAUSE = 0.5  # seconds


def main() -> None:
    """Run jobs until SIGTERM, or until a crash."""
    settings = RunSettings.from_environment()
    name = process_name()
    points = CrashPoints(settings, name, settings.journal(name))
    match settings.mutant:
        case "transaction":
            begin = Run.transaction
            wrap(Run, "finish", lambda finish: _effect_before(begin, finish, points))
            wrap(Run, "transaction", lambda begin: _in_two_transactions(begin, points))
        case "id":
            wrap(Jobs, "claim", _with_another_message_id)
        case "sweeper":
            wrap(Sweeper, "sweep", lambda _: lambda _self: None)
    points.add(Jobs, "claim", _AFTER_CLAIM, after="worker-killed:after-claim")
    points.add(Jobs, "make_due", _AFTER_MAKE_DUE, after="sweeper-killed:after-make-due")
    points.add(Jobs, "_end_all", _BEFORE_COMMIT, after="worker-killed:before-common-commit")
    points.add(Jobs, "finish", _AFTER_COMMIT, after="worker-killed:after-common-commit")
    wrap(Run, "transaction", lambda begin: _crash_around_commit(begin, points))
    wrap(Run, "__init__", lambda init: _pause_after(init, points))
    runpy.run_module("app.worker", run_name="__main__")


def _pause_after(init: Callable[..., None], points: CrashPoints) -> Callable[..., None]:
    """A pause after each claim: the faults find work in progress."""

    def init_and_pause(*args: Any) -> None:
        init(*args)
        points.maybe_pause(_PAUSE_AFTER_CLAIM, _MAX_PAUSE)

    return init_and_pause


def _crash_around_commit(begin: Callable[..., Any], points: CrashPoints) -> Callable[..., Any]:
    """Crashes before and after the COMMIT of a step, and of the transaction that ends a job."""

    @contextmanager
    def begin_and_crash(
        run: Run[Any], outcome: Outcome | None = None, **options: Any
    ) -> Iterator[Any]:
        which = "step" if outcome is None else "commit"
        with begin(run, outcome, **options) as tx:
            yield tx
            points.maybe_crash(f"worker-killed:before-{which}", _BEFORE_COMMIT)
        points.maybe_crash(f"worker-killed:after-{which}", _AFTER_COMMIT)

    return begin_and_crash


def _in_two_transactions(begin: Callable[..., Any], points: CrashPoints) -> Callable[..., Any]:
    """Mutant: the effects of a job commit before the transaction that completes it."""

    @contextmanager
    def begin_two(run: Run[Any], outcome: Outcome | None = None, **options: Any) -> Iterator[Any]:
        if outcome is None or outcome.name != "done":
            with begin(run, outcome, **options) as tx:
                yield tx
            return
        with begin(run) as tx:
            run.job = tx.get_one(type(run.job), run.job.id)
            yield tx
        points.maybe_crash("worker-killed:after-effects", _AFTER_EFFECTS)
        with begin(run, outcome):
            pass

    return begin_two


def _effect_before(
    begin: Callable[..., Any], finish: Callable[..., None], points: CrashPoints
) -> Callable[..., None]:
    """The same mutant, of jobs that end together with others."""

    def finish_in_two(run: Run[Any], effect: Effect[Any] | None = None) -> None:
        if effect is not None:
            with begin(run) as tx:
                effect(tx, tx.get_one(type(run.job), run.job.id))
            points.maybe_crash("worker-killed:after-effects", _AFTER_EFFECTS)
        finish(run)

    return finish_in_two


def _with_another_message_id(claim: Callable[..., Any]) -> Callable[..., Any]:
    """Mutant: each attempt at a notification has another message id."""

    def claim_as_new(*args: Any) -> Any:
        claims = claim(*args)
        for each in claims:
            each.row.message_id = uuid4().hex  # of the detached row: SQL keeps the first one
        return claims

    return claim_as_new


if __name__ == "__main__":
    main()
