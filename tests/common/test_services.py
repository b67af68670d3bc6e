"""The dependencies that all services have."""

from pathlib import Path

import pytest

from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.db.records import RECORDS
from common.pyportal_common.jobs.services import BaseServices
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.settings import ServiceSettings


@pytest.mark.parametrize("revokes_sessions", [True, False])
def test_only_the_service_that_revokes_sessions_watches_their_server(
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    revokes_sessions: bool,
) -> None:
    # Another service that noticed its restart first would hide it from the one with the records.
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    settings = ServiceSettings.load(data_dir=tmp_path)
    services = BaseServices("test", settings, redis_db=5, revokes_sessions=revokes_sessions)
    RECORDS.create(services.database.engine)

    assert services.session_store.load("none") is None

    services.close()
    assert get_redis_client(0).exists("sessions:marker") == revokes_sessions
