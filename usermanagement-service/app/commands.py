"""The service's commands: `flask --app wsgi users …`."""

import os

import click
from flask.cli import AppGroup
from pydantic import ValidationError

from common.pyportal_common.cache_handlers import RedisLayerError

from . import users
from .context import services
from .errors import UserAlreadyExists, UserNotFound
from .schemas import Registration

commands = AppGroup("users", help="Users and their roles.")


@commands.command("create-admin", help="Register an admin. The password: ADMIN_PASSWORD, or asked.")
@click.option("--username", required=True)
@click.option("--email", required=True)
def create_admin(username: str, email: str) -> None:
    """Register an admin."""
    password = os.environ.get("ADMIN_PASSWORD") or click.prompt(
        "Password", hide_input=True, confirmation_prompt=True
    )
    mine = services()
    try:
        registration = Registration.model_validate(
            {"username": username, "email": email, "password": password}
        )
        user = users.register(
            registration,
            database=mine.database,
            passwords=mine.passwords,
            redis_helper=mine.redis_helper,
            outbox=mine.outbox,
            role="admin",
        )
    except ValidationError as error:
        faults = [f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()]
        raise click.ClickException("; ".join(faults)) from None
    except UserAlreadyExists as error:
        raise click.ClickException(f"{error} is taken") from None
    click.echo(f"{username} is an admin, with the id {user['id']}.")


@commands.command("set-role", help="Give a user another role. All their sessions end.")
@click.option("--username", required=True)
@click.option("--role", required=True, type=click.Choice(["user", "admin"]))
def set_role(username: str, role: str) -> None:
    """Give a user another role."""
    mine = services()
    try:
        users.set_role(username, role, database=mine.database)
    except UserNotFound:
        raise click.ClickException(f"There is no user {username}") from None
    except RedisLayerError as error:
        raise click.ClickException(
            f"{username} is {role} now; sessions with the old role end when Redis is back: {error}"
        ) from None
    click.echo(f"{username} is {role} now, and has to log in again.")
