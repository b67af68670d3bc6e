"""What is printed of a run."""

import re
from collections import Counter
from collections.abc import Mapping

from .outcome import Outcome
from .state import Task

_SHOWN = 20  # violations


def report(outcome: Outcome, violations: list[str]) -> None:
    """Print it."""
    tasks, told = outcome.state.tasks, outcome.told
    print(f"{len(told.accepted)} tasks accepted in {outcome.took:.0f} s")
    print_counts(Counter(accepted.kind for accepted in told.accepted))
    print(f"{sum(told.answers.values())} answers")
    print_counts(told.answers)
    print(f"{sum(told.repeats.values())} requests sent again, after")
    print_counts(told.repeats)
    print(f"{sum(outcome.faults.values())} faults")
    print_counts(outcome.faults)
    print(f"{len(tasks)} tasks, and how they ended")
    print_counts(Counter(_ending(task) for task in tasks))
    print("attempts that they took")
    print_counts(Counter(str(task.attempts) for task in tasks))
    print(f"all accepted {outcome.until_accepted:.1f} s after the last fault")
    if outcome.until_final is not None:
        print(f"all final {outcome.until_final:.1f} s after the last fault")
    print(f"{len(violations)} violations")
    for violation in violations[:_SHOWN]:
        print(f"! {violation}")


def _ending(task: Task) -> str:
    if task.error is None:
        return f"{task.task_type} {task.status}"
    return f"{task.task_type} {task.status}: {re.sub('[0-9]+', 'n', task.error)}"


def print_counts(counts: Mapping[str, int]) -> None:
    """A line for each."""
    for what, times in sorted(counts.items()):
        print(f"  {what:<70} {times:>6,}")
