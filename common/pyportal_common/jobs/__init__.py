"""Background jobs: rows in SQL that workers run, exactly once in effect, despite crashes.

The row is the truth and the queue: a worker must claim a row before it may change anything. A claim
is a random token in the row with a lease, and every transaction of the worker checks it: a worker
that lost its claim, through a pause or a wrong clock, can change nothing any more. So effects in
the same database happen once. Redis carries hints that wake workers sooner.
"""

from ..extras import requires

with requires("jobs"):
    from .heartbeats import Heartbeat
    from .hints import NO_HINTS, Hints
    from .models import PRIORITIES, JobRow, Priority, States, job_indexes
    from .monitor import JobsMonitor
    from .outcomes import LeaseLost, Outcome
    from .reports import JobsReport
    from .run import Run
    from .runner import JobHandler, JobRunner
    from .settings import WorkerSettings
    from .store import Backoff, Claim, JobEnded, JobNotEnded, Jobs
    from .worker import WorkerServices, run_worker, worker_main

__all__ = [
    "NO_HINTS",
    "PRIORITIES",
    "Backoff",
    "Claim",
    "Heartbeat",
    "Hints",
    "JobEnded",
    "JobHandler",
    "JobNotEnded",
    "JobRow",
    "JobRunner",
    "Jobs",
    "JobsMonitor",
    "JobsReport",
    "LeaseLost",
    "Outcome",
    "Priority",
    "Run",
    "States",
    "WorkerServices",
    "WorkerSettings",
    "job_indexes",
    "run_worker",
    "worker_main",
]
