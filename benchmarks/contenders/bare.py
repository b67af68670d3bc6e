"""A Flask route and nothing else: the floor. USER is what it answers, as JSON."""

import json
import os

from flask import Flask, Response, jsonify

application = Flask(__name__, static_folder=None)
application.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it

_USER = json.loads(os.environ["USER_JSON"])


@application.get("/api/v1/airliner/users/<int:user_id>")
def show_user(user_id: int) -> Response:  # noqa: ARG001  there is but one
    """The user, whoever is asked for."""
    return jsonify(user=_USER)
