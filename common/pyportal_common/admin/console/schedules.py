"""Schedules: last tick, outcome, next tick. They are paused like kinds of jobs."""

from flask import Response

from ...operations import JobOperations
from .console import Console


def add_schedule_pages(console: Console, jobs: JobOperations) -> None:
    """Add the page about schedules."""

    @console.page("/schedules", navigation="Schedules")
    def schedules() -> Response:
        return console.show(
            "schedules.html",
            schedules=jobs.schedules(),
            paused={pause.kind for pause in jobs.pauses()},
        )
