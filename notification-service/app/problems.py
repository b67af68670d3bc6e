"""What goes wrong with notifications, as HTTP answers it."""

from flask import Flask, Response

from common.pyportal_common.jobs import JobNotEnded
from common.pyportal_common.web import Detail, Problem, problem_response, used_twice

from .errors import (
    KeyUsedTwice,
    NotificationNotFound,
    RecipientNotAllowed,
    TooManyWebhooks,
    UnusableData,
    UsersUnreachable,
    WebhookAlreadyExists,
    WebhookNotFound,
)


def register_problems(app: Flask) -> None:
    """Answer the service's own errors."""
    for error in (NotificationNotFound, WebhookNotFound):
        app.register_error_handler(error, _not_found)
    app.register_error_handler(RecipientNotAllowed, _not_allowed)
    app.register_error_handler(UnusableData, _unusable)
    app.register_error_handler(KeyUsedTwice, lambda _: problem_response(used_twice()))
    app.register_error_handler(JobNotEnded, _not_failed)
    app.register_error_handler(UsersUnreachable, _unreachable)
    app.register_error_handler(WebhookAlreadyExists, _taken)
    app.register_error_handler(TooManyWebhooks, _too_many)


def _not_found(_: Exception) -> Response:
    return problem_response(Problem(404, "Not Found"))


def _not_allowed(error: RecipientNotAllowed) -> Response:
    details = [Detail(error.field, error.message)]
    return problem_response(Problem(403, "It may not go there", details))


def _unusable(error: UnusableData) -> Response:
    return problem_response(Problem(422, "Validation failed", [Detail("data", str(error)[:200])]))


def _not_failed(_: JobNotEnded) -> Response:
    return problem_response(Problem(409, "Only what failed or was suppressed begins anew"))


def _unreachable(_: UsersUnreachable) -> Response:
    return problem_response(
        Problem(503, "Temporarily unavailable, try again", headers={"Retry-After": "5"})
    )


def _taken(_: WebhookAlreadyExists) -> Response:
    return problem_response(Problem(409, "Webhook already exists", [Detail("url", "is taken")]))


def _too_many(_: TooManyWebhooks) -> Response:
    return problem_response(Problem(409, "You have as many webhooks as one may have"))
