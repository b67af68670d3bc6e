"""The commands of operators: `flask --app wsgi …`, on the operations below them."""

from ..extras import requires
from ..operations import Operations
from .audit import audit_commands
from .caches import cache_commands
from .databases import redis_commands
from .doctor import doctor_command
from .groups import OperatorCommand, OperatorGroup, operator_commands
from .jobs import job_commands
from .limits import limit_commands
from .outbox import outbox_commands
from .sessions import session_commands

with requires("cli"):
    import click

__all__ = ["OperatorCommand", "OperatorGroup", "commands_of", "operator_commands"]


def commands_of(operations: Operations) -> list[click.Command]:
    """All commands on the operations of a service."""
    commands: list[click.Command] = [
        doctor_command(operations.doctor),
        job_commands(operations.jobs, operations.job_kinds),
        limit_commands(operations.limits, operations.service),
        cache_commands(operations.caches, operations.service),
        redis_commands(operations.databases),
        audit_commands(operations.audit),
    ]
    if operations.outbox is not None:
        commands.append(outbox_commands(operations.outbox))
    if operations.sessions is not None:
        commands.append(session_commands(operations.sessions))
    return commands
