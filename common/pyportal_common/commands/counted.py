"""What the processes of a service have counted, for commands, which are none of them."""

from collections.abc import Sequence

from ..extras import requires
from ..operations import OperationRefused
from ..operations.event_counts import served_metrics

with requires("cli"):
    import click
    from prometheus_client import Metric


def seen_metrics(service: str) -> Sequence[Metric]:
    """The metrics of a service. If it does not answer, none, and a line that says so."""
    try:
        return served_metrics(service)
    except OperationRefused as error:
        click.echo(f"What was counted was not seen: {error}", err=True)
        return ()
