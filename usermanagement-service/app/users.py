"""User management itself. No HTTP here."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from common.pyportal_common.db import Database, violated_columns

from .errors import UserAlreadyExists
from .models import User
from .passwords import Passwords
from .redis_helper import UserManagementRedisHelper
from .schemas import Registration, UserView


def register(
    registration: Registration,
    *,
    database: Database,
    passwords: Passwords,
    redis_helper: UserManagementRedisHelper,
) -> dict[str, Any]:
    """Create a user and return it as the API shows it.

    Raises UserAlreadyExists and PasswordHashingBusy. When it returns, the user is on the disk;
    the cache is filled too, unless Redis is unavailable.
    """
    password_hash = passwords.hash(registration.password.get_secret_value())
    now = datetime.now(UTC)
    user = User(
        username=registration.username,
        username_key=registration.username.lower(),
        email=registration.email,
        email_key=registration.email.lower(),
        first_name=registration.first_name,
        last_name=registration.last_name,
        date_of_birth=registration.date_of_birth,
        password_hash=password_hash,
        created_at=now,
        updated_at=now,
    )
    try:
        with database.begin() as session:
            session.add(user)
    except IntegrityError as error:
        taken = violated_columns(error, ["username_key", "email_key"])
        if not taken:
            raise
        raise UserAlreadyExists([column.removesuffix("_key") for column in taken]) from error
    view = UserView.model_validate(user).model_dump(mode="json")
    redis_helper.cache_user(user.id, view)
    redis_helper.cache_user_lookup(user.id, username=user.username, email=user.email)
    return view
