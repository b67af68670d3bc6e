"""The process that delivers: `python -m app.worker`. Run as many as there is work for."""

import logging
import sys

from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.jobs import WorkerSettings, run_worker
from common.pyportal_common.logging import configure_logging
from common.pyportal_common.settings import ConfigurationError

from . import deliveries
from .redis_helper import REDIS_DB
from .services import Services
from .settings import NotificationSettings

logger = logging.getLogger(__name__)


def main() -> None:
    """Deliver notifications until SIGTERM."""
    settings = NotificationSettings.load()
    configure_logging(settings.log_format, settings.log_level)
    mine = Services.of(settings, get_redis_client(default_db=REDIS_DB))
    if not settings.smtp_host:
        logger.info("There is no SMTP_HOST: mails are written to %s", settings.data_dir / "mail")
    run_worker(
        mine.queue,
        [(mine.jobs, lambda run: deliveries.deliver(run, mine))],
        settings=WorkerSettings.load(),
    )
    mine.close()


if __name__ == "__main__":
    try:
        main()
    except ConfigurationError as error:
        sys.exit(str(error))
