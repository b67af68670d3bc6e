"""Schedules: last tick, outcome, next tick. They are paused like kinds of jobs."""

from flask import Response

from ...operations import KindOperations
from .console import Console


def add_schedule_pages(console: Console, job_kinds: KindOperations) -> None:
    """Add the page about schedules."""

    @console.page("/schedules", navigation="Schedules")
    def schedules() -> Response:
        return console.show("schedules.html", schedules=job_kinds.schedules())
