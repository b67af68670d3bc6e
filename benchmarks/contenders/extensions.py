"""The same endpoint on Flask-Session, Flask-Limiter and Flask-Caching, as their documents show it.

SQLAlchemy reads what is not cached. It runs in a separate environment, .venv/peers.
"""

import os
from datetime import date, datetime
from typing import Any

from flask import Flask, Response, abort, jsonify, session
from flask_caching import Cache
from flask_limiter import Limiter
from flask_session import Session
from redis import Redis
from sqlalchemy import create_engine, orm

_REDIS_URL = os.environ["REDIS_URL"]
_USER_FIELDS = os.environ["USER_FIELDS"].split(",")

application = Flask(__name__, static_folder=None)
application.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it
application.config.update(
    SESSION_TYPE="redis",
    SESSION_REDIS=Redis.from_url(_REDIS_URL),
    CACHE_TYPE="RedisCache",
    CACHE_REDIS_URL=_REDIS_URL,
    RATELIMIT_STORAGE_URI=_REDIS_URL,
    RATELIMIT_STRATEGY="moving-window",
    RATELIMIT_HEADERS_ENABLED=True,
)
Session(application)
cache = Cache(application)
limiter = Limiter(lambda: f"user:{session.get('user_id')}", app=application)
engine = create_engine(os.environ["DATABASE_URL"])


class Base(orm.DeclarativeBase):
    pass


class User(Base):
    """The columns of the service's table that the API shows."""

    __tablename__ = "users"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    username: orm.Mapped[str]
    email: orm.Mapped[str]
    email_verified_at: orm.Mapped[datetime | None]
    first_name: orm.Mapped[str | None]
    last_name: orm.Mapped[str | None]
    date_of_birth: orm.Mapped[date | None]
    role: orm.Mapped[str]
    created_at: orm.Mapped[datetime]
    updated_at: orm.Mapped[datetime]


@application.post("/login/<int:user_id>")
def log_in(user_id: int) -> tuple[str, int]:
    """Begin a session; the benchmark needs no password."""
    session["user_id"] = user_id
    session["role"] = "user"
    return "", 204


@application.get("/api/v1/airliner/users/<int:user_id>")
@limiter.limit(os.environ["LIMIT"])  # type: ignore[untyped-decorator]  # mypy cannot see it
def show_user(user_id: int) -> Response:
    """A user may read their own data, and an admin that of all users."""
    if "user_id" not in session:
        abort(401)
    if session["user_id"] != user_id and session["role"] != "admin":
        abort(403)
    user = load_user(user_id)
    if user is None:
        abort(404)
    return jsonify(user=user)


@cache.memoize(timeout=3600)  # type: ignore[untyped-decorator]  # as above
def load_user(user_id: int) -> dict[str, Any] | None:
    """The user as our service shows it: its fields, in its order."""
    with orm.Session(engine) as tx:
        user = tx.get(User, user_id)
    if user is None:
        return None
    values = {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "emailVerified": user.email_verified_at is not None,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "dateOfBirth": user.date_of_birth and user.date_of_birth.isoformat(),
        "role": user.role,
        "createdAt": f"{user.created_at.isoformat()}Z",
        "updatedAt": f"{user.updated_at.isoformat()}Z",
    }
    return {name: values[name] for name in _USER_FIELDS}
