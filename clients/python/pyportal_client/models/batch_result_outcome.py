from typing import Literal

BatchResultOutcome = Literal["created", "refused", "replayed"]

BATCH_RESULT_OUTCOME_VALUES: set[BatchResultOutcome] = {
    "created",
    "refused",
    "replayed",
}


def check_batch_result_outcome(value: str) -> BatchResultOutcome:
    if value in BATCH_RESULT_OUTCOME_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {BATCH_RESULT_OUTCOME_VALUES!r}")
