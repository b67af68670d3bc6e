"""What operators do, below HTTP and the command line: list, show, act.

Lists take a filter, a limit and a cursor. Acts take the filter, return how many they changed, and
write what they did to the audit log in the same SQL transaction.
"""

from ..extras import requires

with requires("jobs"):
    from .errors import NotFiltered, OperationRefused, Unknown
    from .job_views import JobFilter, JobView, KindStats
    from .jobs import JobOperations
    from .operations import Operations
    from .outbox import MessageFilter, MessageView, OutboxOperations

__all__ = [
    "JobFilter",
    "JobOperations",
    "JobView",
    "KindStats",
    "MessageFilter",
    "MessageView",
    "NotFiltered",
    "OperationRefused",
    "Operations",
    "OutboxOperations",
    "Unknown",
]
