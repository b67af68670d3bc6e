"""What the doctor finds."""

from flask import Blueprint, Response
from pydantic import Field

from ...operations import Doctor
from ...web import Page, View, responses
from ..guard import Guard
from .lists import Text, respond_all


class FindingOut(View):
    """What a check has found."""

    check: str = Field(examples=["sql"])
    state: str = Field(description="ok, wrong, or unseen if the check could not look.")
    text: Text
    remedy: str = Field(description="What to do.")
    milliseconds: float | None = Field(description="Until the first answer.")


def doctor_routes(doctor: Doctor, admin: Guard) -> Blueprint:
    """The route that runs all checks."""
    routes = Blueprint("doctor", __name__, url_prefix="/doctor")

    @routes.get("")
    @admin
    @responses(Page[FindingOut])
    def examine() -> Response:
        """Check Redis, SQL, the schema, workers, jobs and caches.

        A check that cannot look is `unseen`. While Redis does not answer, no session can be read:
        use the command `doctor`.
        """
        return respond_all(FindingOut, doctor.examine())

    return routes
