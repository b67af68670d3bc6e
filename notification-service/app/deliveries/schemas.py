"""What responses show of deliveries."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from common.pyportal_common.web import View

Status = Literal["queued", "sending", "sent", "failed", "suppressed"]


class AttemptView(View):
    """A delivery attempt."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    outcome: Literal["sent", "failed", "put off"] | None = Field(
        description="`put off`: the delivery is retried. Null while the attempt runs, and if its "
        "worker died."
    )
    answer: str | None = Field(description="What the mail server or the webhook answered.")
    reason: str | None = Field(description="Why the attempt failed.")
