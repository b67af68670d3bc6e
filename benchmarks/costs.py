"""What the portal's parts cost, from which `plan` computes. `cases/costs.py` measures it again.

All of it was measured by `python -m benchmarks costs` on two cores of a shared virtual machine,
with Python 3.11, Redis 7.0 and PostgreSQL 15, and `make bench args=costs` compares it with the
machine at hand. Each group says how.
"""

from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class RequestCost:
    """What one request costs: µs of processor time, and what it makes others do.

    `app_us` is that of gunicorn and Python, or of workers. `trips` are round trips to Redis,
    `commits` are transactions that write to PostgreSQL, `wal_bytes` what these add to its WAL.
    """

    app_us: float
    redis_us: float
    sql_us: float
    trips: float
    commits: float
    wal_bytes: float

    def __add__(self, other: "RequestCost") -> "RequestCost":
        return RequestCost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: float) -> "RequestCost":
        return RequestCost(*(times * part for part in astuple(self)))

    def __sub__(self, other: "RequestCost") -> "RequestCost":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return RequestCost(*(max(0.0, all_of_it - part) for all_of_it, part in pairs))


NO_COST = RequestCost(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """The connections that one process has under load, and its share of memory (PSS)."""

    redis_connections: float
    sql_connections: float
    memory_mb: float


GET_USER = "GET a user"
GET_USER_UNCACHED = "GET a user, not cached"
GET_TASK = "GET a task"
GET_TASKS = "GET the first page of tasks"
GET_STATUS = "GET a delivery status"
POST_BOOKING = "POST a booking"
POST_LOGIN = "POST a login"
POST_USER = "POST a registration"
RUN_BOOKING = "run a booking and notify its user"

# Differences of /proc/PID/stat of all processes of the services, of Redis and of PostgreSQL, of
# Redis's `total_reads_processed`, and of PostgreSQL's transaction ids and WAL position, around a
# load that keeps two gunicorn processes of each service busy; less those of an idle portal.
REQUESTS: dict[str, RequestCost] = {
    GET_USER: RequestCost(941, 106, 11, 1.3, 0.0, 0),
    GET_USER_UNCACHED: RequestCost(3109, 298, 287, 4.1, 0.0, 0),
    GET_TASK: RequestCost(773, 65, 11, 1.0, 0.0, 0),
    GET_TASKS: RequestCost(902, 81, 12, 1.1, 0.0, 0),
    GET_STATUS: RequestCost(632, 51, 8, 1.0, 0.0, 0),
    POST_BOOKING: RequestCost(6358, 374, 990, 5.2, 1.1, 1507),
    POST_LOGIN: RequestCost(45221, 740, 1296, 4.1, 0.2, 60),
    POST_USER: RequestCost(40283, 526, 2377, 4.0, 1.6, 2652),
    RUN_BOOKING: RequestCost(19363, 733, 5144, 9.2, 3.3, 11652),
}


def limit_with(entries: int) -> str:
    """The kind of key that is a limit with so many entries."""
    return f"rate_limit, {entries} {'entry' if entries == 1 else 'entries'}"


# MEMORY USAGE, the median of the keys of a kind after that load. It counts the key and the value.
KEY_BYTES: dict[str, float] = {
    "session": 328,
    "user:sessions": 136,
    "user": 376,
    "user:lookup:username": 88,
    "user:lookup:email": 88,
    "booking": 696,
    "user:bookings, each task": 676,
    "notification:status": 232,
    limit_with(1): 152,
    limit_with(10): 376,
    limit_with(64): 1120,
}

# What a key takes beyond MEMORY USAGE, in the tables of keys and of times to live: from MEMORY
# STATS before and after the keys of a tenth of a plan were stored. It varies from 50 to 90, as
# tables double.
KEY_OVERHEAD_BYTES = 58.0

# pg_total_relation_size, so with indexes, divided by the rows, of tables that were filled with
# copies of rows that the services have written.
ROW_BYTES: dict[str, float] = {
    "users": 389,
    "tasks": 800,
    "bookings": 161,
    "events": 302,
    "notifications": 717,
    "attempts": 217,
}

# Of one gunicorn process with 8 threads, and of one worker with 8 threads: `CLIENT LIST` and
# pg_stat_activity after that load, divided by the processes.
PROCESSES: dict[str, ProcessCost] = {
    "gunicorn": ProcessCost(11.5, 6.8, 136),
    "worker": ProcessCost(9.0, 9.0, 88),
}

DELETED = "rows of old tasks deleted a second"

# Rows a second that the schedule delete-old-tasks deletes, with their bookings.
DELETED_ROWS_PER_SECOND = 4000.0
