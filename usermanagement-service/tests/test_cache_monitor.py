"""A stale value that is written to Redis past the service is found while requests arrive."""

import time
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from common.pyportal_common.cache_handlers import RedisClient, keys
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import bearer

from .conftest import MakeApp, register, services_of, session_of, user_path

_LONGEST = 60.0  # seconds: it takes less than one, and more on a busy machine


def sample_of(client: FlaskClient, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return sum(
        found.value
        for family in families
        for found in family.samples
        if found.name == name and labels.items() <= found.labels.items()
    )


def test_a_value_planted_past_the_service_is_found(
    make_app: MakeApp,
    redis_server: RedisServer,
    connect: Callable[..., RedisClient],
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = make_app(cache_audit_seconds=0.02, cache_trust_seconds=0.2)
    client = app.test_client(use_cookies=False)
    john = register(client)
    headers = bearer(session_of(client))
    client.get(user_path(john), headers=headers)
    key = keys.user(john["id"])
    planting = connect(redis_server)
    text = planting.get(key)
    assert text is not None
    planting.set(key, text.replace("john@", "jane@"), ttl=3600)

    until = time.monotonic() + _LONGEST
    found = 0.0
    while not found and time.monotonic() < until:
        client.get(user_path(john), headers=headers)
        found = sample_of(client, "cache_audit_total", cache="user", outcome="stale")

    assert found == 1
    assert sample_of(client, "cache_staleness_seconds", cache="user") >= 0.2
    lines = capsys.readouterr().err.splitlines()
    (message,) = [each for each in lines if "holds a stale value" in each]
    assert keys.digest_of(key) in message
    assert "jane" not in message
    [stale] = services_of(app).cache_verifier.verify().stale
    assert (stale.cache, stale.digest) == ("user", keys.digest_of(key))
