"""/livez, /readyz and /health."""

from flask.testing import FlaskClient

from common.pyportal_common.redis_server import RedisServer, free_port

from .conftest import JOHN, REGISTER, MakeApp, json_of


def test_all_checks_pass(client: FlaskClient) -> None:
    assert client.get("/livez").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ok"}
    assert client.get("/health").json == {
        "service": "usermanagement",
        "status": "ok",
        "checks": {"redis": "ok", "database": "ok"},
    }


def test_without_redis_it_is_ready_and_degraded(make_app: MakeApp, own_redis: RedisServer) -> None:
    client = make_app(redis_url=own_redis.url).test_client()
    own_redis.kill()

    health = client.get("/health")

    assert health.status_code == 200
    assert json_of(health)["status"] == "degraded"
    assert json_of(health)["checks"] == {"database": "ok", "redis": "unavailable"}
    assert client.get("/readyz").status_code == 200


def test_without_sql_it_is_not_ready_and_registration_is_a_503(make_app: MakeApp) -> None:
    unreachable = f"postgresql+psycopg://portal@127.0.0.1:{free_port()}/postgres"
    client = make_app(database_url=unreachable).test_client()

    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert client.get("/health").status_code == 503
    response = client.post(REGISTER, json=JOHN)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert unreachable not in response.text
