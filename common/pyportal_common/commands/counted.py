"""What the processes of a service have counted, for commands, which are none of them."""

from ..extras import requires
from ..operations import OperationRefused
from ..operations.event_counts import EventCounts, served_counts

with requires("cli"):
    import click


def seen_counts(service: str) -> EventCounts:
    """What a service has counted. If it does not answer, nothing, and a line that says so."""
    try:
        return served_counts(service)
    except OperationRefused as error:
        click.echo(f"What was counted was not seen: {error}", err=True)
        return EventCounts()
