"""Jobs: rows of SQL that workers see to, once each, whatever dies meanwhile.

The row is the truth. Dramatiq carries its id to a worker, as a hint that may be lost or come twice:
what is due and was not heard of is sent again, and a worker has to claim a row before it may change
anything. A claim is a random token in the row with an end, and every transaction of the worker
checks it: whoever lost a claim, by a pause or a clock, can change nothing any more. So effects that
are in the same database happen once.
"""

from .errors import Cancelled, JobFailed
from .models import PRIORITIES, JobRow, Priority, States, job_indexes
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
    "JobEnded",
    "JobFailed",
    "JobHandler",
    "JobNotEnded",
    "JobQueue",
    "JobRow",
    "JobRunner",
    "Jobs",
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
