"""What operators do, below HTTP and the command line: list, show, act.

Lists take a filter, a limit and a cursor. Acts take the filter, return how many they changed, and
write what they did to the audit log in the same SQL transaction.
"""

from ..extras import requires
from ..findings import Finding

with requires("jobs"):
    from .bulk import BulkAct
    from .cached_values import CachedValueView
    from .caches import CacheOperations, KindOfKey
    from .databases import DatabaseOperations
    from .doctor import Doctor
    from .errors import NotFiltered, NotOwned, OperationRefused, Unknown
    from .event_counts import EventCounts, ReadCounts
    from .filters import moment_of
    from .job_views import JobFilter, JobView
    from .jobs import JobOperations
    from .kinds import KindOperations, KindStats, ScheduleView
    from .limits import LimitOperations, LimitView
    from .operations import Operations
    from .outbox import MessageFilter, MessageView, OutboxOperations
    from .sessions import Revoked, SessionOperations, SessionView
    from .slow_log import SlowCommand

__all__ = [
    "BulkAct",
    "CacheOperations",
    "CachedValueView",
    "DatabaseOperations",
    "Doctor",
    "EventCounts",
    "Finding",
    "JobFilter",
    "JobOperations",
    "JobView",
    "KindOfKey",
    "KindOperations",
    "KindStats",
    "LimitOperations",
    "LimitView",
    "MessageFilter",
    "MessageView",
    "NotFiltered",
    "NotOwned",
    "OperationRefused",
    "Operations",
    "OutboxOperations",
    "ReadCounts",
    "Revoked",
    "ScheduleView",
    "SessionOperations",
    "SessionView",
    "SlowCommand",
    "Unknown",
    "moment_of",
]
