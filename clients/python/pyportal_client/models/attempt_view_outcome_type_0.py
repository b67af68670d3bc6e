from typing import Literal

AttemptViewOutcomeType0 = Literal["failed", "put off", "sent"]

ATTEMPT_VIEW_OUTCOME_TYPE_0_VALUES: set[AttemptViewOutcomeType0] = {
    "failed",
    "put off",
    "sent",
}


def check_attempt_view_outcome_type_0(value: str) -> AttemptViewOutcomeType0:
    if value in ATTEMPT_VIEW_OUTCOME_TYPE_0_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {ATTEMPT_VIEW_OUTCOME_TYPE_0_VALUES!r}")
