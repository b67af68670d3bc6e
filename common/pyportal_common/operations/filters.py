"""What filters have in common."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

_MAX_IDS = 1000


def narrow_ids(ids: Sequence[int] | None) -> None:
    """Raise ValueError for more ids than a statement takes."""
    if ids is not None and len(ids) > _MAX_IDS:
        raise ValueError(f"at most {_MAX_IDS} ids")


def given(wanted: Any) -> dict[str, Any]:
    """What is set in a filter: a dataclass. For the audit log, and to see whether anything is."""
    return {name: value for name, value in asdict(wanted).items() if value is not None}
