"""`flask --app wsgi doctor`."""

from ..extras import requires
from ..operations import Doctor
from .groups import OperatorCommand, as_json
from .output import show_json, show_table

with requires("cli"):
    import click

_SHOWN = "check state text remedy milliseconds"


def doctor_command(doctor: Doctor) -> click.Command:
    """The command that checks everything."""

    @click.command("doctor", cls=OperatorCommand, example="doctor")
    @as_json
    def check(as_json: bool) -> None:
        """Check Redis, SQL, the schema, workers and jobs. Exits with 1 if something is wrong."""
        findings = doctor.examine()
        if as_json:
            show_json({"items": findings})
        else:
            show_table(_SHOWN, findings)
        if any(finding.state != "ok" for finding in findings):
            raise click.exceptions.Exit(1)

    return check
