"""The process that delivers notifications: `python -m app.worker`. Any number may run."""

import logging

from common.pyportal_common.jobs import worker_main

from .services import Services
from .settings import NotificationSettings

logger = logging.getLogger(__name__)


def _build_services(settings: NotificationSettings) -> Services:
    if not settings.smtp_host:
        folder = settings.data_dir / "mail"
        logger.info("SMTP_HOST is not set: e-mails are written to %s", folder)
    return Services(settings)


if __name__ == "__main__":
    worker_main(NotificationSettings.load, _build_services)
