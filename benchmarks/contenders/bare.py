"""A Flask route that returns a constant, the JSON in RESPONSE_JSON: the floor."""

import json
import os

from flask import Flask, Response, jsonify

application = Flask(__name__, static_folder=None)
application.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it

_RESPONSE = json.loads(os.environ["RESPONSE_JSON"])


@application.get("/api/v1/airliner/users/<int:user_id>")
def show_user(user_id: int) -> Response:  # noqa: ARG001  the response is always the same
    """The same response for every user."""
    return jsonify(_RESPONSE)
