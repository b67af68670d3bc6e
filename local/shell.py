"""`make shell`: the names that are defined at the prompt."""

from typing import Any

from flask import Flask, Response, jsonify


class ExampleUsers:
    """The `db` of the documentation's examples: users in memory, by id."""

    def __init__(self) -> None:
        self._users: dict[int, dict[str, Any]] = {}

    def get_user(self, user_id: int) -> dict[str, Any] | None:
        """The user, or None."""
        return self._users.get(user_id)

    def create_user(self, user_data: dict[str, Any]) -> dict[str, Any]:
        """Store a user under its `id`, else under the next free one."""
        user_id = user_data.get("id", max(self._users, default=0) + 1)
        self._users[user_id] = {**user_data, "id": user_id}
        return self._users[user_id]

    def update_user(self, user_id: int, user_data: dict[str, Any]) -> dict[str, Any]:
        """Change the fields in `user_data`. KeyError if there is no such user."""
        self._users[user_id] |= user_data
        return self._users[user_id]


def names(app: Flask) -> dict[str, Any]:
    """The service's `app`, and what the examples use without defining it."""
    db = ExampleUsers()

    def unauthorized_response() -> tuple[Response, int]:
        return jsonify(error="Unauthorized"), 401

    return {
        "app": app,
        "db": db,
        "fetch_user_from_db": lambda user_id: (
            db.get_user(user_id) or db.create_user({"id": user_id})
        ),
        "unauthorized_response": unauthorized_response,
        "user_id": 123,
    }


def prompt_names() -> dict[str, Any]:
    """Load the service in the working directory and print what is defined."""
    from wsgi import application  # type: ignore[import-not-found]

    application.app_context().push()
    print(
        f"{application.name}: `app` is the service; `db`, `fetch_user_from_db`, `user_id` and"
        " `unauthorized_response` are examples in memory."
    )
    return names(application)
