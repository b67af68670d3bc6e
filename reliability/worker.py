"""The worker of a service, which crashes at the points where a job could be lost or done twice.

It needs nothing of the service but `python -m app.worker`: everything is patched in `common`.
"""

import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from common.pyportal_common.jobs import Jobs, Run
from common.pyportal_common.jobs.sweeper import Sweeper

from .crash_points import CrashPoints, wrap
from .settings import RunSettings, process_name

_AFTER_CLAIM = 0.02
_AFTER_EFFECTS = 0.1  # with the mutant "transaction"
_BEFORE_COMMIT = 0.02
_AFTER_COMMIT = 0.02
_BEFORE_SEND = 0.1
_PAUSE_AFTER_CLAIM = 0.3
_MAX_PAUSE = 0.5  # seconds


def main() -> None:
    """Run jobs until SIGTERM, or until a crash."""
    settings = RunSettings.from_environment()
    name = process_name()
    points = CrashPoints(settings, name, settings.journal(name))
    match settings.mutant:
        case "transaction":
            wrap(Run, "finish", lambda finish: _in_two_transactions(finish, points))
        case "id":
            wrap(Jobs, "claim", _with_another_message_id)
        case "sweeper":
            wrap(Sweeper, "sweep", lambda _: lambda _self: None)
    points.add(Jobs, "claim", _AFTER_CLAIM, after="worker-killed:after-claim")
    points.add(Jobs, "to_send", _BEFORE_SEND, after="sweeper-killed:before-send")
    wrap(Run, "finish", lambda finish: _crash_around_commit(finish, points))
    wrap(Run, "__init__", lambda init: _pause_after(init, points))
    runpy.run_module("app.worker", run_name="__main__")


def _pause_after(init: Callable[..., None], points: CrashPoints) -> Callable[..., None]:
    """A pause after each claim: the faults find work in progress."""

    def init_and_pause(*args: Any) -> None:
        init(*args)
        points.maybe_pause(_PAUSE_AFTER_CLAIM, _MAX_PAUSE)

    return init_and_pause


def _crash_around_commit(finish: Callable[..., Any], points: CrashPoints) -> Callable[..., Any]:
    @contextmanager
    def finish_and_crash(run: Run[Any]) -> Iterator[Any]:
        with finish(run) as tx_and_row:
            yield tx_and_row
            points.maybe_crash("worker-killed:before-commit", _BEFORE_COMMIT)
        points.maybe_crash("worker-killed:after-commit", _AFTER_COMMIT)

    return finish_and_crash


def _in_two_transactions(finish: Callable[..., Any], points: CrashPoints) -> Callable[..., Any]:
    """Mutant: the effects of a job commit before the transaction that completes it."""

    @contextmanager
    def finish_in_two(run: Run[Any]) -> Iterator[Any]:
        with run.step() as tx:
            yield tx, tx.get_one(type(run.job), run.job.id)
        points.maybe_crash("worker-killed:after-effects", _AFTER_EFFECTS)
        with finish(run):
            pass

    return finish_in_two


def _with_another_message_id(claim: Callable[..., Any]) -> Callable[..., Any]:
    """Mutant: each attempt at a notification has another message id."""

    def claim_as_new(jobs: Jobs[Any], job_id: int) -> Any:
        claimed = claim(jobs, job_id)
        if claimed is not None:
            claimed.row.message_id = uuid4().hex  # of the detached row: SQL keeps the first one
        return claimed

    return claim_as_new


if __name__ == "__main__":
    main()
