"""How the service's own errors are answered."""

from common.pyportal_common.jobs import JobNotEnded
from common.pyportal_common.web import Detail, Problem, ProblemTable, idempotency_key_reused

from .errors import (
    IdempotencyKeyReused,
    NotificationNotFound,
    RecipientNotAllowed,
    TooManyWebhooks,
    UnusableData,
    UsersUnreachable,
    WebhookAlreadyExists,
    WebhookNotFound,
)

_NOT_FOUND = Problem(404, "Not Found")

PROBLEMS: ProblemTable = {
    NotificationNotFound: _NOT_FOUND,
    WebhookNotFound: _NOT_FOUND,
    RecipientNotAllowed: lambda error: Problem(
        403, "This recipient is not allowed", [Detail(error.field, error.message)]
    ),
    UnusableData: lambda error: Problem(
        422, "Validation failed", [Detail("data", str(error)[:200])]
    ),
    IdempotencyKeyReused: idempotency_key_reused(),
    JobNotEnded: Problem(409, "Only a failed or suppressed notification can be retried"),
    UsersUnreachable: Problem(
        503, "Temporarily unavailable, try again", headers={"Retry-After": "5"}
    ),
    WebhookAlreadyExists: Problem(
        409, "Webhook already exists", [Detail("url", "Already registered")]
    ),
    TooManyWebhooks: Problem(409, "You have reached the maximum number of webhooks"),
}
