"""Task Processing."""

from flask import Flask

from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.web import create_service

from .redis_helper import REDIS_DB

NAME = "taskprocessing"


def create_app(settings: ServiceSettings | None = None) -> Flask:
    """The service's WSGI application. Raises ConfigurationError."""
    settings = settings or ServiceSettings.load()
    return create_service(
        NAME,
        settings,
        title="Task Processing",
        redis_client=get_redis_client(default_db=REDIS_DB),
    )
