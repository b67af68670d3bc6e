"""The worker of Task Processing, which dies after a claim, after a COMMIT, and before it sends."""

from app import worker
from app.task_types import TASK_TYPES

from . import mutants
from .deaths import die_at_jobs, sweep_nothing
from .points import Points
from .setting import Setting


def main() -> None:
    """Do tasks until SIGTERM, or until chance has it otherwise."""
    setting = Setting.of_environment()
    points = Points(setting, "worker")
    die_at_jobs(points)
    if setting.without == "sweeper":
        sweep_nothing()
    if setting.without == "transaction":
        mutants.book_without_transaction(TASK_TYPES, points)
    worker.main()


if __name__ == "__main__":
    main()
