"""No outage of Redis skips a second factor, and none has a code accepted twice."""

import pytest
from flask.testing import FlaskClient

from app.services import Services
from common.pyportal_common.cache_handlers import RedisUnavailable
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, bearer, json_of

from .conftest import MakeApp, age_login, register, services_of, session_of
from .factors import Authenticator, add_app, add_passkey, challenge, code_of, log_in_with

REAUTHENTICATE = f"{API}/session/reauthenticate"


@pytest.fixture
def client(make_app: MakeApp, own_redis: RedisServer) -> FlaskClient:
    """A client of a portal with a server of its own, where John is registered."""
    client = make_app(redis_url=own_redis.url).test_client(use_cookies=False)
    register(client)
    return client


@pytest.mark.parametrize("outage", ["kill", "pause"])
def test_in_an_outage_nobody_logs_in_and_no_code_is_used_up(
    client: FlaskClient, own_redis: RedisServer, outage: str
) -> None:
    app = add_app(client, bearer(session_of(client)))
    code = code_of(app.secret)
    getattr(own_redis, outage)()

    attempts = [log_in_with(client, **proof) for proof in ({}, {"code": code}, {"code": "000000"})]

    assert [each.status_code for each in attempts] == [503, 503, 503]
    end_outage(own_redis, outage)
    assert until_available(client, code) == 200
    assert log_in_with(client, code=code).status_code == 401


def test_a_server_that_has_lost_everything_accepts_no_code_again(
    client: FlaskClient, own_redis: RedisServer
) -> None:
    app = add_app(client, bearer(session_of(client)))
    code, backup_code = code_of(app.secret), app.backup_codes[0]
    assert log_in_with(client, code=code).status_code == 200
    assert log_in_with(client, code=backup_code).status_code == 200

    lose_everything(client, own_redis)

    statuses = [log_in_with(client, code=each).status_code for each in (code, backup_code)]
    assert statuses == [401, 401]
    assert log_in_with(client).status_code == 401
    assert log_in_with(client, code=app.backup_codes[1]).status_code == 200


def test_a_challenge_outlives_a_server_that_has_lost_everything_and_is_for_one_use(
    client: FlaskClient, own_redis: RedisServer
) -> None:
    device = Authenticator()
    add_passkey(client, bearer(session_of(client)), device)
    signed = device.sign(challenge(client))

    lose_everything(client, own_redis)

    assert log_in_with(client, passkey=signed).status_code == 200
    lose_everything(client, own_redis)
    assert log_in_with(client, passkey=signed).status_code == 401


def test_a_code_whose_session_could_not_be_created_is_not_accepted_again(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is used up before there is a session, so that no session is without it."""
    app = add_app(client, bearer(session_of(client)))
    code = code_of(app.secret)

    def fail(*_: object, **__: object) -> None:
        raise RedisUnavailable("made for this test")

    with monkeypatch.context() as patch:
        patch.setattr(services_in(client).session_store, "create", fail)
        assert log_in_with(client, code=code).status_code == 503

    assert log_in_with(client, code=code).status_code == 401
    assert log_in_with(client, code=app.next_code()).status_code == 200


def test_in_an_outage_no_session_becomes_fresh(client: FlaskClient, own_redis: RedisServer) -> None:
    app = add_app(client, bearer(session_of(client)))
    age_login(services_in(client), app.headers)
    body = {"password": "correct-horse-battery", "code": code_of(app.secret)}
    own_redis.kill()
    assert client.post(REAUTHENTICATE, json=body, headers=app.headers).status_code == 503
    own_redis.start()
    until_available(client, "000000")

    response = client.post(f"{API}/factors/backup-codes", headers=app.headers)

    assert response.status_code == 401  # the session, if it is there, is as old as before


def test_an_app_that_was_confirmed_while_redis_failed_is_in_use(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup codes are in the answer, and the session goes on as it was."""
    headers = bearer(session_of(client))

    def fail(*_: object, **__: object) -> None:
        raise RedisUnavailable("made for this test")

    with monkeypatch.context() as patch:
        patch.setattr(services_in(client).session_store, "rotate", fail)
        app = add_app(client, headers)

    assert app.headers == headers
    assert len(app.backup_codes) == 10
    assert json_of(client.get(f"{API}/session", headers=headers))["amr"] == ["pwd"]
    assert log_in_with(client).status_code == 401


def services_in(client: FlaskClient) -> Services:
    return services_of(client.application)


def end_outage(server: RedisServer, outage: str) -> None:
    if outage == "kill":
        server.start()
    else:
        server.resume()


def lose_everything(client: FlaskClient, server: RedisServer) -> None:
    """As a server that was killed and starts with an old copy of its data."""
    services_in(client).redis_client.execute("FLUSHALL")
    server.kill()
    server.start()
    until_available(client, "000000")


def until_available(client: FlaskClient, code: str) -> int:
    """The status of the first login that is not a 503."""
    statuses = (log_in_with(client, code=code).status_code for _ in range(10_000))
    found: int = next(status for status in statuses if status != 503)
    return found
