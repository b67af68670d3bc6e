"""The service's own variables."""

from pydantic import Field

from common.pyportal_common.admin_settings import AdminSettings
from common.pyportal_common.cache_handlers import RateLimit


class TaskProcessingSettings(AdminSettings):
    """RATE_LIMIT_TASKS, TASK_DAYS, EXPORT_DAYS, and the variables of every service."""

    rate_limit_tasks: RateLimit = RateLimit("tasks", limit=1000, window=60)
    # How long the files of exports are kept.
    export_days: int = Field(7, ge=1, le=365)
    # How long tasks are kept after their end. One with a booking is kept for so long after the
    # departure.
    task_days: int = Field(365, ge=1, le=36500)
