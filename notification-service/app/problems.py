"""The responses to the service's own errors."""

from common.pyportal_common.jobs import JobNotEnded
from common.pyportal_common.web import Detail, Problem, ProblemTable, idempotency_key_reused

from . import errors
from .webhooks.service import MAX_WEBHOOKS

_NOT_FOUND = Problem(404, "Not Found")

PROBLEMS: ProblemTable = {
    errors.NotificationNotFound: _NOT_FOUND,
    errors.WebhookNotFound: _NOT_FOUND,
    errors.DeliveryNotFound: _NOT_FOUND,
    errors.DeliveryNotEnded: Problem(409, "Only a failed or suppressed delivery can be retried"),
    errors.WebhookDisabled: Problem(
        409, "The webhook is disabled", [Detail("enabled", "Enable the webhook first")]
    ),
    errors.RecipientNotAllowed: lambda error: Problem(
        403, "This recipient is not allowed", [Detail(error.field, error.message)]
    ),
    errors.UnusableData: lambda error: Problem(
        422, "Validation failed", [Detail("data", str(error)[:200])]
    ),
    errors.IdempotencyKeyReused: idempotency_key_reused(),
    JobNotEnded: Problem(409, "Only a failed or suppressed notification can be retried"),
    errors.UsersUnreachable: Problem(
        503, "Temporarily unavailable, try again", headers={"Retry-After": "5"}
    ),
    errors.UnsubscribeLinkInvalid: Problem(
        400, "The link is not valid", [Detail("token", "Not a token of this portal")]
    ),
    errors.WebhookAlreadyExists: Problem(
        409, "Webhook already exists", [Detail("url", "Already registered")]
    ),
    errors.TooManyWebhooks: Problem(409, f"You have {MAX_WEBHOOKS} webhooks, which is the maximum"),
}
