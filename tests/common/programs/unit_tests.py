"""Tests of an app that need no server."""

import os
import subprocess
import sys
from pathlib import Path

SHOP = """
from flask import Flask, session

from common.pyportal_common.extension import Portal

portal = Portal()


def create_app():
    app = Flask("shop")
    app.config["PORTAL_SESSION"] = True
    portal.init_app(app)

    @app.get("/price/<product>")
    @portal.limit("2/minute")
    @portal.cached("price:{product}", ttl=60)
    def price(product):
        return {"product": product}

    @app.post("/login")
    def log_in():
        portal.login(7)
        return "welcome"

    @app.get("/me")
    def me():
        return {"user": portal.user_id}

    return app
"""

TEST = """
import pytest
from shop import create_app, portal


@pytest.fixture
def app(fake_redis):
    return create_app()


@pytest.fixture
def client(app):
    return app.test_client()


def test_the_third_request_is_refused(client):
    assert [client.get("/price/tea").status_code for _ in range(3)] == [200, 200, 429]


def test_each_test_begins_without_keys(app, client):
    with app.app_context():
        assert portal.cache.get("price:tea") is None
        assert client.get("/price/tea").status_code == 200
        assert portal.cache.get("price:tea") == {"product": "tea"}


def test_a_session_lasts_until_the_next_request(client):
    client.post("/login")
    assert client.get("/me").json == {"user": 7}


def test_an_outage_is_a_503_where_the_session_is_needed(client, fake_redis):
    client.post("/login")
    with fake_redis.outage():
        assert client.get("/me").status_code == 503
        assert client.get("/price/tea").status_code == 200
    assert client.get("/me").json == {"user": 7}
"""

Path("shop.py").write_text(SHOP)
Path("test_shop.py").write_text(TEST)
command = [
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "-W",
    "error",
    "--import-mode=importlib",
    "test_shop.py",
]
environment = os.environ | {"PYTHONPATH": "."}
result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
assert "4 passed" in result.stdout, result.stdout + result.stderr
