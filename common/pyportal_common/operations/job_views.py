"""Jobs as operators see and select them. Their content is never shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..jobs import JobRow, Jobs
from .filters import check_filter, given


@dataclass(frozen=True, slots=True)
class JobFilter:
    """The jobs of a kind: in a state, of a user, among at most 1,000 ids. None means any.

    They were created from `since` on and before `until`, and have the text `error` in their error,
    in any case. Raises ValueError for too many ids and for an empty text.
    """

    kind: str
    status: str | None = None
    user_id: int | None = None
    ids: tuple[int, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        check_filter(self.ids, self.error)

    def given(self) -> Mapping[str, Any]:
        """What is set besides the kind, for the audit log."""
        return {name: value for name, value in given(self).items() if name != "kind"}


@dataclass(frozen=True, slots=True)
class JobView:
    """A job without its content."""

    kind: str
    id: int
    type: str
    status: str
    priority: str
    user_id: int | None
    attempts: int
    progress: int
    error: str | None
    created_at: datetime
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    lease_until: datetime | None
    cancel_requested_at: datetime | None

    @classmethod
    def of(cls, jobs: Jobs[Any], row: JobRow) -> "JobView":
        """The view of a row."""
        owner = None if jobs.owner is None else getattr(row, jobs.owner.key)
        own: dict[str, Any] = {"kind": jobs.kind, "type": jobs.type_of(row), "user_id": owner}
        names = cls.__dataclass_fields__.keys() - own.keys()
        return cls(**own, **{name: getattr(row, name) for name in names})
