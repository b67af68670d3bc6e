"""The first page: whether the service is healthy, and how busy it is."""

from flask import Response

from ..overview import Overviews
from .console import Console


def add_overview_page(console: Console, overviews: Overviews) -> None:
    """Add the first page."""

    @console.page("", navigation="Overview")
    def overview() -> Response:
        return console.show("overview.html", now=overviews.read())
