"""Logging in for a request, as the API, the front and the console do."""

from flask import request

from common.pyportal_common.web import client_network, presented_session_id

from ..services import services
from .devices import coarse_network, device_of
from .schemas import Credentials
from .service import Login


def begin_session(credentials: Credentials) -> Login:
    """Start a session for the device and the network of the request. Raises what `log_in` does."""
    address = request.remote_addr
    origin = {
        "device": device_of(request.headers.get("User-Agent")),
        "network": coarse_network(address),
    }
    return services().sessions.log_in(credentials, client_network(address), origin)


def end_planted_session() -> None:
    """End the session that the request was sent with, which an attacker may have planted."""
    session_id = presented_session_id(request)
    if session_id is not None:
        services().sessions.end(session_id)
