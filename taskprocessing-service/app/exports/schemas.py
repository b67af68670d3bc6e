"""The `details` of a completed export."""

from datetime import datetime

from common.pyportal_common.web import View


class ExportDetails(View):
    """The size of the file, and when it is deleted."""

    tasks: int
    bytes: int
    parts: int
    expires_at: datetime
