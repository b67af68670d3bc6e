"""The service's own variables."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import NoDecode

from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.web import policy


class TaskProcessingSettings(ServiceSettings):
    """RATE_LIMIT_TASKS, EXPORT_DAYS, and what every service reads."""

    rate_limit_tasks: Annotated[RateLimit, NoDecode, policy("tasks")] = RateLimit(
        "tasks", limit=1000, window=60
    )
    # How long the files of exports can be downloaded.
    export_days: int = Field(7, ge=1, le=365)
