"""How much each benchmark does: enough for figures, or only enough to show that it runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """The counts of all benchmarks. A round measures every contender once."""

    rounds: int = 7
    seconds: float = 1.0  # of a round of each contender
    workers: tuple[int, ...] = (1, 2)  # of gunicorn
    clients: int = 1_000
    at_once: tuple[int, int] = (1, 8)  # registrations
    paced_rounds: int = 5  # at 70 % of saturation
    slices: int = 30  # of a round of calls: `layer`, `cache`
    calls: int = 50  # in a slice
    cached_keys: tuple[int, int] = (1_000, 1_000_000)
    commits: int = 60  # in a round
    trust_rounds: int = 3
    registrations: int = 15  # of `outage`, before and during the outage
    sessions_of_one_user: int = 10_000
    keys_of_one_commit: int = 1_000
    attempts: int = 300  # of `login`, for each kind of name
    task_rounds: int = 5
    tasks: int = 1_000  # in a round, a multiple of 100
    no_ops: int = 4_000  # of Dramatiq in a round
    timed_tasks: int = 60  # one after the other
    stored_tasks: tuple[int, int] = (1_000, 1_000_000)
    most_stored_tasks: int | None = 10_000_000  # on PostgreSQL only
    read_rounds: int = 400
    copied_rows: int = 100_000  # of `costs`, in each table
    planned_users: int = 1_000_000  # a tenth of whose plan is measured
    planned_seconds: float = 75.0  # longer than the window of a limit
    replica_rounds: int = 3
    replica_seconds: float = 10.0  # of each load
    waited_seconds: int = 10  # of a round of `long_polls`
    waited_rounds: int = 3
    idle_seconds: float = 60.0
    watched_seconds: float = 20.0  # in which commands are counted


FULL = Scale()

SHORT = Scale(
    rounds=2,
    seconds=0.2,
    workers=(2,),
    clients=20,
    at_once=(1, 2),
    paced_rounds=1,
    slices=2,
    calls=3,
    cached_keys=(100, 1_000),
    commits=3,
    trust_rounds=1,
    registrations=2,
    sessions_of_one_user=300,
    keys_of_one_commit=100,
    attempts=3,
    task_rounds=1,
    tasks=100,
    no_ops=500,
    timed_tasks=3,
    stored_tasks=(1_000, 2_000),
    most_stored_tasks=None,
    read_rounds=3,
    copied_rows=200,
    planned_users=1_000,
    planned_seconds=1.0,
    replica_rounds=1,
    replica_seconds=0.5,
    waited_seconds=1,
    waited_rounds=1,
    idle_seconds=1.0,
    watched_seconds=1.0,
)
