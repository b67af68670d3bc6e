"""The pages of a service's errors: /problems lists them, and `type` of each leads to its own."""

from collections.abc import Iterable

from flask import Blueprint, Response, render_template
from werkzeug.exceptions import NotFound

from .problem_types import ProblemType, by_status
from .static_pages import StaticPages, html_page


def problem_routes(title: str, types: Iterable[ProblemType]) -> Blueprint:
    """The route /problems, and one for each of the `types` of a service."""
    by_code = {kind.code: kind for kind in by_status(types)}
    routes = Blueprint("problems", __name__, template_folder="problem_pages")
    files = StaticPages(__package__ or "", "problem_pages")

    def show(shown: Iterable[ProblemType], heading: str) -> Response:
        text = render_template("problems.html", title=title, heading=heading, kinds=list(shown))
        return html_page(text)

    @routes.get("/problems")
    def catalogue() -> Response:
        return show(by_code.values(), f"Errors of {title}")

    @routes.get("/problems/<code>")
    def page(code: str) -> Response:
        if code not in by_code:
            raise NotFound
        return show([by_code[code]], by_code[code].text)

    @routes.get("/problems/page.css")
    def style() -> Response:
        return files.asset("page.css")

    return routes
