"""The commands of operators: `flask --app wsgi …`, on the operations below them."""

from ..extras import requires
from ..operations import Operations
from .audit import audit_commands
from .groups import OperatorCommand, OperatorGroup, operator_commands
from .jobs import job_commands
from .outbox import outbox_commands

with requires("cli"):
    import click

__all__ = ["OperatorCommand", "OperatorGroup", "commands_of", "operator_commands"]


def commands_of(operations: Operations) -> list[click.Group]:
    """All commands on the operations of a service."""
    groups = [job_commands(operations.jobs)]
    if operations.outbox is not None:
        groups.append(outbox_commands(operations.outbox))
    return [*groups, audit_commands(operations.audit)]
