"""The process that sees to events: `python -m app.worker`. Any number of them may run."""

import sys

from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.jobs import WorkerSettings, run_worker
from common.pyportal_common.logging import configure_logging
from common.pyportal_common.settings import ConfigurationError

from . import deliveries
from .redis_helper import REDIS_DB
from .services import Services
from .settings import UserManagementSettings


def main() -> None:
    """See to events until SIGTERM."""
    settings = UserManagementSettings.load()
    configure_logging(settings.log_format, settings.log_level)
    mine = Services.of(settings, get_redis_client(default_db=REDIS_DB))
    run_worker(
        mine.queue,
        [(mine.events, lambda run: deliveries.perform(run, mine))],
        settings=WorkerSettings.load(),
        housekeeping=lambda: deliveries.forget_old(mine.database),
    )
    mine.close()


if __name__ == "__main__":
    try:
        main()
    except ConfigurationError as error:
        sys.exit(str(error))
