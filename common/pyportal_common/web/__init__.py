"""The web layer: what every service's HTTP side is made of. Flask lives here."""

from .limits import client_network, policy, rate_limit
from .problems import Detail, Problem, problem_response
from .service import create_service
from .validation import Schema, View, body

__all__ = [
    "Detail",
    "Problem",
    "Schema",
    "View",
    "body",
    "client_network",
    "create_service",
    "policy",
    "problem_response",
    "rate_limit",
]
