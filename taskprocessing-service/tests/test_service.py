"""The service as a whole."""

from app.settings import TaskProcessingSettings
from app.tasks.schemas import CACHED_TASK
from common.pyportal_common.jobs import WorkerSettings
from common.pyportal_common.testing.service_checks import BodyChecks, ServiceChecks

from .conftest import TASKS, Headers, Portal


class TestService(ServiceChecks):
    settings = (TaskProcessingSettings, WorkerSettings)
    cached_views = (CACHED_TASK,)


class TestBodies(BodyChecks):
    pass


def test_personal_responses_are_not_stored_by_caches(portal: Portal, john: Headers) -> None:
    path = f"{TASKS}/{portal.create(john)['taskId']}"

    for url, expected in ((TASKS, "no-store"), (path, "private, no-cache")):
        response = portal.client.get(url, headers=john)
        assert response.headers["Cache-Control"] == expected
    portal.run_tasks()
    file = portal.client.get(f"{path}/file", headers=john)
    assert file.headers["Cache-Control"] == "private, no-store"
