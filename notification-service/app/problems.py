"""The service's own errors, and the responses to them."""

from enum import unique

from common.pyportal_common.jobs import JobNotEnded
from common.pyportal_common.web import (
    CommonProblem,
    Detail,
    Problem,
    ProblemTable,
    ProblemType,
    idempotency_key_reused,
)

from . import errors
from .webhooks.schemas import MAX_WEBHOOKS


@unique
class NotificationProblem(ProblemType):
    """The kinds of errors of this service."""

    UNSUBSCRIBE_LINK_INVALID = (
        400,
        "The link is not valid",
        "The token of the link was not made by this portal, or is incomplete.",
    )
    RECIPIENT_NOT_ALLOWED = (
        403,
        "This recipient is not allowed",
        "Users may notify themselves only, at their own address or a webhook of theirs. "
        "The details say what is wrong.",
    )
    DELIVERY_NOT_ENDED = (
        409,
        "Only a failed or suppressed delivery can be retried",
        "The delivery has succeeded, or is still being attempted.",
    )
    NOTIFICATION_NOT_ENDED = (
        409,
        "Only a failed or suppressed notification can be retried",
        "The notification was sent, or is still being attempted.",
    )
    WEBHOOK_DISABLED = (
        409,
        "The webhook is disabled",
        "Nothing is sent to it. Enable it by PATCH with enabled: true, and repeat the request.",
    )
    WEBHOOK_ALREADY_EXISTS = (
        409,
        "Webhook already exists",
        "The user has a webhook with this URL. Change that one.",
    )
    TOO_MANY_WEBHOOKS = (
        409,
        f"You have {MAX_WEBHOOKS} webhooks, which is the maximum",
        "Delete one that is not needed any more.",
    )


_NOT_FOUND = Problem(CommonProblem.NOT_FOUND)

PROBLEMS: ProblemTable = {
    errors.NotificationNotFound: _NOT_FOUND,
    errors.WebhookNotFound: _NOT_FOUND,
    errors.DeliveryNotFound: _NOT_FOUND,
    errors.DeliveryNotEnded: Problem(NotificationProblem.DELIVERY_NOT_ENDED),
    errors.WebhookDisabled: Problem(
        NotificationProblem.WEBHOOK_DISABLED, [Detail("enabled", "Enable the webhook first")]
    ),
    errors.RecipientNotAllowed: lambda error: Problem(
        NotificationProblem.RECIPIENT_NOT_ALLOWED, [Detail(error.field, error.message)]
    ),
    errors.UnusableData: lambda error: Problem(
        CommonProblem.VALIDATION_FAILED, [Detail("data", str(error)[:200])]
    ),
    errors.IdempotencyKeyReused: idempotency_key_reused(),
    JobNotEnded: Problem(NotificationProblem.NOTIFICATION_NOT_ENDED),
    errors.UsersUnreachable: Problem(CommonProblem.UNAVAILABLE, headers={"Retry-After": "5"}),
    errors.UnsubscribeLinkInvalid: Problem(
        NotificationProblem.UNSUBSCRIBE_LINK_INVALID,
        [Detail("token", "Not a token of this portal")],
    ),
    errors.WebhookAlreadyExists: Problem(
        NotificationProblem.WEBHOOK_ALREADY_EXISTS, [Detail("url", "Already registered")]
    ),
    errors.TooManyWebhooks: Problem(NotificationProblem.TOO_MANY_WEBHOOKS),
}
