"""A service with a route, its OpenAPI description and metrics."""

import sys

from flask import Blueprint, Response

from common.pyportal_common.cache_handlers import RateLimit, Stores
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.web import View, create_service, rate_limit, respond, responses


class Settings(ServiceSettings):
    """The limit of the route."""

    rate_limit_show: RateLimit = RateLimit("show", 1, 60)


class Flight(View):
    """A flight in responses."""

    id: int


routes = Blueprint("flights", __name__)


@routes.get("/flights/<id:flight_id>")
@rate_limit("show")
@responses(Flight)
def show(flight_id: int) -> Response:
    """Show a flight."""
    return respond(Flight(id=flight_id))


app = create_service("flights", Settings(), title="Flights", stores=Stores.connect("flights"))
app.register_blueprint(routes)
client = app.test_client()
assert client.get("/flights/7").json == {"id": 7}
assert client.get("/flights/7").status_code == 429
assert "/flights/{flight_id}" in client.get("/openapi.json").text
assert "http_requests_total" in client.get("/metrics").text
assert client.get("/docs").status_code == 200

try:
    create_service("a", Settings(log_format="json"), title="A", stores=Stores.connect("a"))
    assert "pythonjsonlogger" in sys.modules
except ImportError as error:
    assert "pip install 'pyportal-common[gunicorn]'" in str(error)  # noqa: PT017  either is right
