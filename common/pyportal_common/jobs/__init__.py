"""Background jobs: rows in SQL that workers run, exactly once in effect, despite crashes.

The row is the truth. Dramatiq carries its id to a worker as a hint, which may be lost or arrive
twice: due rows that nobody has claimed are sent again, and a worker must claim a row before it may
change anything. A claim is a random token in the row with a lease, and every transaction of the
worker checks it: a worker that lost its claim, through a pause or a wrong clock, can change nothing
any more. So effects in the same database happen once.
"""

from .errors import Cancelled, JobFailed
from .heartbeats import Heartbeat
from .models import PRIORITIES, JobRow, Priority, States, job_indexes
from .monitor import JobsMonitor, JobsReport
from .queue import JobQueue
from .run import Run
from .runner import JobHandler, JobRunner
from .settings import QueueSettings, WorkerSettings
from .store import Backoff, JobEnded, JobNotEnded, Jobs
from .worker import WorkerServices, run_worker, worker_main

__all__ = [
    "PRIORITIES",
    "Backoff",
    "Cancelled",
    "Heartbeat",
    "JobEnded",
    "JobFailed",
    "JobHandler",
    "JobNotEnded",
    "JobQueue",
    "JobRow",
    "JobRunner",
    "Jobs",
    "JobsMonitor",
    "JobsReport",
    "Priority",
    "QueueSettings",
    "Run",
    "States",
    "WorkerServices",
    "WorkerSettings",
    "job_indexes",
    "run_worker",
    "worker_main",
]
