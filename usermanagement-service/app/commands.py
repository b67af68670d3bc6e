"""The service's commands: `flask --app wsgi users …`."""

import os

import click
from flask.cli import AppGroup
from pydantic import ValidationError

from common.pyportal_common.cache_handlers import RedisLayerError
from common.pyportal_common.commands import OperatorCommand
from common.pyportal_common.commands.groups import by
from common.pyportal_common.db import Actor
from common.pyportal_common.web.requests import message_of

from .errors import NoSecondFactor, UserAlreadyExists, UserNotFound
from .factors.seeds import NoFactorKey
from .services import Services, services
from .users.schemas import Registration

commands = AppGroup("users", help="Users and their roles.")


@commands.command(
    "create-admin",
    cls=OperatorCommand,
    example="users create-admin --username jane --email jane@example.com",
)
@click.option("--username", required=True)
@click.option("--email", required=True)
def create_admin(username: str, email: str) -> None:
    """Register an admin. The password is read from ADMIN_PASSWORD, or prompted for."""
    password = os.environ.get("ADMIN_PASSWORD") or click.prompt(
        "Password", hide_input=True, confirmation_prompt=True
    )
    try:
        registration = Registration.model_validate(
            {"username": username, "email": email, "password": password}
        )
        user = services().users.register(registration, role="admin")
    except ValidationError as error:
        faults = [f"{fault['loc'][0]}: {message_of(fault)}" for fault in error.errors()]
        raise click.ClickException("; ".join(faults)) from None
    except UserAlreadyExists as error:
        taken = "; ".join(f"{field} is taken" for field in error.fields)
        raise click.ClickException(taken) from None
    click.echo(f"{username} is an admin with the id {user['id']}.")


@commands.command(
    "set-role", cls=OperatorCommand, example="users set-role --username jane --role user"
)
@click.option("--username", required=True)
@click.option("--role", required=True, type=click.Choice(Services.roles))
def set_role(username: str, role: str) -> None:
    """Set a user's role and end all their sessions."""
    try:
        services().users.set_role(username, role)
    except UserNotFound:
        raise click.ClickException(f"There is no user {username}") from None
    except RedisLayerError as error:
        raise click.ClickException(
            f"The role of {username} is now {role}. Their sessions with the old role end as soon"
            f" as Redis is available: {error}"
        ) from None
    click.echo(f"The role of {username} is now {role}. They have to log in again.")


@commands.command(
    "remove-factors", cls=OperatorCommand, example="users remove-factors --username jane"
)
@click.option("--username", required=True)
@by
def remove_factors(username: str, actor: Actor) -> None:
    """Request the removal of all second factors of a user who has lost them.

    The user gets a mail at once, and can cancel it until the waiting time has passed.
    """
    user_id = services().find_user_id(username)
    try:
        if user_id is None:
            raise UserNotFound(username)
        removal = services().factor_removals.request(actor, user_id)
    except UserNotFound:
        raise click.ClickException(f"There is no user {username}") from None
    except NoSecondFactor:
        click.echo(f"{username} has no second factor.")
        return
    due = f"{removal.due_at:%Y-%m-%d %H:%M} UTC"
    click.echo(f"The second factors of {username} are removed at {due}, unless it is cancelled.")


@commands.command("encrypt-seeds", cls=OperatorCommand, example="users encrypt-seeds")
def encrypt_seeds() -> None:
    """Encrypt the seeds of all authenticator apps with the first of FACTOR_KEYS."""
    try:
        changed, unreadable = services().stored_seeds.encrypt_again()
    except NoFactorKey:
        raise click.ClickException("FACTOR_KEYS has no key") from None
    click.echo(f"{changed} seeds are now encrypted with the first key.")
    if unreadable:
        raise click.ClickException(f"{unreadable} seeds need a key that FACTOR_KEYS does not have")
