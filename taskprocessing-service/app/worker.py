"""The process that does tasks: `python -m app.worker`. Run as many as there is work for."""

import sys

from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.jobs import WorkerSettings, run_worker
from common.pyportal_common.jobs import outbox as events
from common.pyportal_common.logging import configure_logging
from common.pyportal_common.settings import ConfigurationError

from . import bookings as bookings  # its task types
from . import exports, tasks
from .models import Event
from .redis_helper import REDIS_DB
from .services import Services
from .settings import TaskProcessingSettings


def main() -> None:
    """Do tasks until SIGTERM."""
    settings = TaskProcessingSettings.load()
    configure_logging(settings.log_format, settings.log_level)
    mine = Services.of(settings, get_redis_client(default_db=REDIS_DB))
    run_worker(
        mine.queue,
        [
            (mine.jobs, lambda run: tasks.perform(run, mine)),
            (mine.events, lambda run: events.post(run, mine.event_settings, mine.destinations)),
        ],
        settings=WorkerSettings.load(),
        housekeeping=lambda: _tidy(mine),
    )
    mine.close()


def _tidy(mine: Services) -> None:
    exports.forget_old(mine)
    events.forget_old(mine.database, Event)


if __name__ == "__main__":
    try:
        main()
    except ConfigurationError as error:
        sys.exit(str(error))
