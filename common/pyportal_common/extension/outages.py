"""What an app responds to errors of the Redis layer, unless it handles them itself."""

from collections.abc import Callable

from flask import Flask, Response, jsonify

from ..cache_handlers import RedisPoolExhausted, RedisUnavailable, SessionChanged, SessionRevoked

_RETRY_AFTER = {RedisUnavailable: 2, RedisPoolExhausted: 1, SessionChanged: 1}  # seconds


def register_outages(app: Flask) -> None:
    """Respond with 503 and Retry-After, where the app has no handler of its own.

    A login that is refused, because the user's sessions were revoked meanwhile, is a 401.
    """
    handlers = app.error_handler_spec[None][None]
    for error, seconds in _RETRY_AFTER.items():
        if error not in handlers:
            app.register_error_handler(error, _unavailable(seconds))
    if SessionRevoked not in handlers:
        app.register_error_handler(SessionRevoked, _log_in_again)


def _log_in_again(_: Exception) -> Response:
    response = jsonify(error="Log in again")
    response.status_code = 401
    return response


def _unavailable(seconds: int) -> Callable[[Exception], Response]:
    def respond(_: Exception) -> Response:
        response = jsonify(error="Temporarily unavailable, try again")
        response.status_code = 503
        response.headers["Retry-After"] = str(seconds)
        return response

    return respond
