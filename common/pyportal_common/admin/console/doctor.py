"""The doctor: what the service depends on, checked when it is asked for."""

from flask import Response

from ...operations import Doctor
from ...web.pages import Filter, read_filter
from .console import Console


class DoctorSearch(Filter):
    """The query of the page. Nothing is checked without `run`."""

    run: bool = False


def add_doctor_page(console: Console, doctor: Doctor) -> None:
    """Add the page of the doctor."""

    @console.page("/doctor", navigation="Doctor")
    def examination() -> Response:
        found = doctor.examine() if read_filter(DoctorSearch).run else None
        return console.show("doctor.html", found=found)
