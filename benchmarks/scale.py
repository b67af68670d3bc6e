"""How much each benchmark does: enough for figures, or only enough to show that it runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """The counts of all benchmarks. A round measures every contender once."""

    call_rounds: int = 200  # of `layer` and `cache`
    calls: int = 70  # in a round
    cached_keys: tuple[int, int] = (1_000, 1_000_000)
    commits: int = 300
    registrations: int = 40  # of `outage`, before and during the outage
    sessions_of_one_user: int = 10_000
    keys_of_one_commit: int = 1_000
    attempts: int = 300  # of `login` and `forgot`, for each kind of name
    load_rounds: int = 7  # of `peers` and `notifications`
    load_seconds: float = 1.0  # of a round
    task_rounds: int = 5
    tasks: int = 1_000  # in a round, a multiple of 100
    no_ops: int = 5_000  # in a round
    timed_tasks: int = 100  # one after the other
    task_load_seconds: float = 2.0  # of a round
    stored_tasks: tuple[int, int] = (1_000, 1_000_000)
    read_rounds: int = 400


FULL = Scale()

SHORT = Scale(
    call_rounds=3,
    calls=5,
    cached_keys=(100, 1_000),
    commits=5,
    registrations=3,
    sessions_of_one_user=300,
    keys_of_one_commit=100,
    attempts=5,
    load_rounds=2,
    load_seconds=0.3,
    task_rounds=1,
    tasks=100,
    no_ops=100,
    timed_tasks=3,
    task_load_seconds=0.3,
    stored_tasks=(1_000, 2_000),
    read_rounds=3,
)
