"""What every worker of a run does: it dies after a claim, after a COMMIT, and before it sends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from common.pyportal_common.jobs import Jobs, Run
from common.pyportal_common.jobs.sweeper import Sweeper

from .points import Points, wrap

_AFTER_CLAIM = 0.02
_AFTER_COMMIT = 0.02
_BEFORE_SEND = 0.1
_PAUSES = 0.3
_LONGEST_PAUSE = 0.5  # seconds


def die_at_jobs(points: Points) -> None:
    """From now on, in this process."""
    wrap(Jobs, "claim", lambda claim: _dying_claim(claim, points))
    wrap(Jobs, "to_send", lambda to_send: _dying_to_send(to_send, points))
    wrap(Run, "finish", lambda finish: _dying_finish(finish, points))


def sweep_nothing() -> None:
    """Send nothing again, and recover nothing: for a run that is to show what that is for."""
    wrap(Sweeper, "sweep", lambda _: lambda _self: None)


def _dying_claim(claim: Callable[..., Any], points: Points) -> Callable[..., Any]:
    def claim_and_die(jobs: Jobs[Any], job_id: int) -> Any:
        claimed = claim(jobs, job_id)
        if claimed is not None:
            points.die_perhaps("worker-killed:after-claim", _AFTER_CLAIM)
            points.pause_perhaps(_PAUSES, _LONGEST_PAUSE)
        return claimed

    return claim_and_die


def _dying_finish(finish: Callable[..., Any], points: Points) -> Callable[..., Any]:
    @contextmanager
    def finish_and_die(run: Run[Any]) -> Iterator[Any]:
        with finish(run) as session_and_row:
            yield session_and_row
        points.die_perhaps("worker-killed:after-commit", _AFTER_COMMIT)

    return finish_and_die


def _dying_to_send(to_send: Callable[..., Any], points: Points) -> Callable[..., Any]:
    def find_and_die(jobs: Jobs[Any], priority: str, limit: int) -> Any:
        found = to_send(jobs, priority, limit)
        if found:
            points.die_perhaps("sweeper-killed:before-send", _BEFORE_SEND)
        return found

    return find_and_die
