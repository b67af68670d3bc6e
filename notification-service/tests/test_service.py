"""The service as a whole."""

from app import MIGRATIONS
from app.models import EventDelivery
from app.notifications.schemas import CACHED_NOTIFICATION, CACHED_STATUS
from app.services import Services
from app.settings import NotificationSettings
from common.pyportal_common.jobs import WorkerSettings
from common.pyportal_common.testing.service_checks import BodyChecks, ServiceChecks

from .conftest import WELCOME, Headers
from .sender import NOTIFICATIONS, WEBHOOKS, Sender


class TestService(ServiceChecks):
    settings = (NotificationSettings, WorkerSettings)
    cached_views = (CACHED_NOTIFICATION, CACHED_STATUS)


class TestBodies(BodyChecks):
    pass


def test_metrics_of_events_to_webhooks_are_in_operations(services: Services) -> None:
    page = (MIGRATIONS.parent.parent / "docs" / "operations.md").read_text("utf-8")

    event_type = services.event_jobs.type_of(EventDelivery())

    assert f"`{event_type}` for an event to a webhook" in page


def test_personal_data_is_not_stored_by_caches(sender: Sender, john: Headers) -> None:
    path = f"{NOTIFICATIONS}/{sender.send(WELCOME)['notificationId']}"

    def cache_control(path: str) -> str:
        return sender.client.get(path, headers=john).headers["Cache-Control"]

    for url in (NOTIFICATIONS, f"{path}/status", f"{path}/attempts", WEBHOOKS):
        assert cache_control(url) == "no-store"
    assert cache_control(path) == "private, no-cache"  # conditional
