"""Tests of an app with the fixture `fake_redis`: without a server, and like one."""

import pytest
from flask import Flask, session

from common.pyportal_common.cache_handlers import (
    Cache,
    RedisClient,
    RedisSettings,
    RedisUnavailable,
    Script,
    get_redis_client,
)
from common.pyportal_common.extension import Portal, header
from common.pyportal_common.fake_redis import FakeRedis

portal = Portal()
app = Flask("shop")
app.config.update(PORTAL_SESSION=True, REDIS_URL="redis://nowhere.invalid:1/3")
portal.init_app(app)


@app.get("/price/<product>")
@portal.limit("2/minute; 9/hour", by=header("X-Api-Key"))
@portal.cached("price:{product}", ttl=60)
def price(product: str) -> dict[str, str]:
    return {"product": product}


@app.post("/login")
def log_in() -> str:
    portal.login(7)
    session["theme"] = "dark"
    return "welcome"


@app.get("/me")
def me() -> dict[str, object]:
    return {"user": portal.user_id, "theme": session.get("theme")}


@pytest.mark.parametrize("_again", [False, True])
@pytest.mark.usefixtures("fake_redis")
def test_an_app_that_exists_already_uses_it_and_it_is_empty(_again: bool) -> None:
    client = app.test_client()

    assert [client.get("/price/tea").status_code for _ in range(3)] == [200, 200, 429]
    client.post("/login")
    assert client.get("/me").json == {"user": 7, "theme": "dark"}
    with app.app_context():
        assert portal.cache.get("price:tea") == {"product": "tea"}
        assert portal.cache.invalidate("price:tea") == 1
        assert portal.redis.db == 3
        assert portal.revoke_all(7) == 1
    assert client.get("/me").json == {"user": None, "theme": None}


def test_a_test_without_a_server_does_not_disturb_the_next(request: pytest.FixtureRequest) -> None:
    assert app.test_client().post("/login").status_code == 503

    request.getfixturevalue("fake_redis")

    assert app.test_client().post("/login").status_code == 200


@pytest.mark.usefixtures("fake_redis")
def test_its_databases_are_apart() -> None:
    Cache(get_redis_client(1)).put("a:1", 1, ttl=60)

    assert Cache(get_redis_client(1)).get("a:1") == 1
    assert Cache(get_redis_client(2)).get("a:1") is None


@pytest.mark.usefixtures("fake_redis")
@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "rediss+sentinel"])
def test_clients_of_every_url_use_it(scheme: str) -> None:
    settings = RedisSettings.load(url=f"{scheme}://nowhere.invalid", _env_file=None)

    client = RedisClient.connect(settings, db=0)

    client.set("k", "v")
    assert client.get("k") == "v"
    client.close()


@pytest.mark.usefixtures("fake_redis")
def test_nothing_is_wrong_with_it() -> None:
    with app.app_context():
        assert portal.redis.inspect().findings == ()
        assert portal.redis.inspect().code is None


def test_an_outage_is_what_an_app_sees_without_redis(fake_redis: FakeRedis) -> None:
    client = app.test_client()
    client.post("/login")

    with fake_redis.outage():
        assert client.get("/me").status_code == 503
        assert client.get("/price/tea").json == {"product": "tea"}
        with app.app_context(), pytest.raises(RedisUnavailable):
            portal.cache.invalidate("price:tea")

    assert client.get("/me").json == {"user": 7, "theme": "dark"}


def test_a_test_without_it_uses_the_network() -> None:
    assert app.test_client().post("/login").status_code == 503


@pytest.mark.parametrize("values", [(1, 2**53 - 1, 0), (255, 1_800_000_000_000_000, 2**32 - 1)])
def test_its_struct_is_that_of_a_server(
    redis_client: RedisClient, values: tuple[int, int, int]
) -> None:
    script = Script.of(
        "local text = struct.pack('<BI7I4', unpack(ARGV)) "
        "return {text, struct.unpack('<BI7I4', 'x' .. text, 2)}"
    )

    expected = redis_client.run(script, [], values)

    with FakeRedis().installed():
        assert get_redis_client().run(script, [], values) == expected
    assert expected[1:] == [*values, 14]
