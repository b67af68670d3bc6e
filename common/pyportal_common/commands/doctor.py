"""`flask --app wsgi doctor`."""

from ..extras import requires
from ..operations import Doctor
from .groups import OperatorCommand, as_json
from .output import show_json, show_table

with requires("cli"):
    import click

_SHOWN = "check state text remedy milliseconds"
_LONGEST = 1000  # characters: all permissions that a user lacks are in one text


def doctor_command(doctor: Doctor) -> click.Command:
    """The command that checks everything."""

    @click.command("doctor", cls=OperatorCommand, example="doctor")
    @as_json
    def check(as_json: bool) -> None:
        """Check what the service depends on. Exits with 1 if something is wrong, or was not seen.

        Redis, SQL, the schema, workers, jobs, caches, tokens, other services, mail, the disk,
        clocks. It takes a few seconds at most, and sends no mail.
        """
        findings = doctor.examine()
        if as_json:
            show_json({"items": findings})
        else:
            show_table(_SHOWN, findings, longest=_LONGEST)
        if any(finding.state != "ok" for finding in findings):
            raise click.exceptions.Exit(1)

    return check
