"""The pages about rate limits: rates and overrides, who is refused, clients."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import Charge, Limiter, RateLimit, RedisClient
from common.pyportal_common.testing.kit import API, json_of, session_headers
from common.pyportal_common.web.pages import NOTHING

from .pages import ADMIN_DATA, Headers, MakeApp, audited, confirm, size_of, text_of
from .service import Services


@pytest.fixture
def limiter(services: Services) -> Limiter:
    return services.limiter


@pytest.fixture
def redis(services: Services) -> RedisClient:
    return services.session_store.client


ADMIN = RateLimit("admin", limit=120, window=60)


class TestList:
    def test_limits_that_refused_most_come_first(
        self, app: Flask, client: FlaskClient, admin: Headers
    ) -> None:
        metrics = app.extensions["metrics"]
        metrics.limit("admin", allowed=False, local=False)
        metrics.limit("admin", allowed=False, local=True)
        metrics.shadow_refusal("admin", local=False)
        metrics.limit_near("admin")

        text = text_of(client.get("/console/limits", headers=admin))

        assert re.search(rf"Allowed admin 120/60 {NOTHING} local 2 1 1 1 ", text), text

    def test_the_admin_api_lists_the_same_decisions(
        self, app: Flask, client: FlaskClient, admin: Headers
    ) -> None:
        app.extensions["metrics"].limit("admin", allowed=False, local=False)
        app.extensions["metrics"].shadow_refusal("admin", local=False)

        found = json_of(client.get(f"{API}/admin/limits", headers=admin))["items"]

        [listed] = [each for each in found if each["name"] == "admin"]
        assert (listed["refused"], listed["wouldRefuse"], listed["near"]) == (1, 1, 0)

    def test_overrides_are_listed(self, client: FlaskClient, admin: Headers) -> None:
        form = {"rate": "240/60", "role": "admin", "confirmed": "true"}
        client.post("/console/limits/admin/set", data=form, headers=admin)

        text = text_of(client.get("/console/limits", headers=admin))

        assert "admin 120/60 240/60 for admin by user=1 local" in text


class TestOverrides:
    def test_a_rate_is_set_after_a_confirmation_and_unset(
        self, app: Flask, client: FlaskClient, admin: Headers
    ) -> None:
        form = {"rate": "240/60;shadow", "role": "admin"}

        asked = client.post("/console/limits/admin/set", data=form, headers=admin)
        assert "Set admin to 240/60;shadow for users of the role admin?" in text_of(asked)
        assert audited(app) == []
        done = confirm(client, admin, asked)

        assert done.headers["Location"] == "/console/limits/admin"
        page = client.get("/console/limits/admin", headers=admin)
        assert re.search(r"admin 240/60;shadow 1 .* ago user=1 Unset", text_of(page))

        asked = client.post("/console/limits/admin/unset", data={"role": "admin"}, headers=admin)
        assert "Unset the override of admin for users of the role admin?" in text_of(asked)
        confirm(client, admin, asked)

        page = client.get("/console/limits/admin", headers=admin)
        assert "None: the rate of the settings is in force" in text_of(page)
        assert audited(app) == [
            ("user=1", "limits clear", "admin", 1),
            ("user=1", "limits set", "admin", 1),
        ]

    @pytest.mark.parametrize(
        ("rate", "role", "field"),
        [
            ("", "", "rate"), ("0/60", "", "rate"), ("10", "", "rate"), ("10/60;x", "", "rate"),
            ("10/0", "", "rate"), ("<b>", "", "rate"), ("9999999999/60", "", "rate"),
            ("60/60", "Admin", "role"), ("60/60", "<b>", "role"), ("60/60", "x" * 21, "role"),
            ("60/60", "manager", "role"),
            ("29/60", "", "rate"), ("29/60", "admin", "rate"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_shown_at_its_field_with_what_was_entered(
        self, app: Flask, client: FlaskClient, admin: Headers, rate: str, role: str, field: str
    ) -> None:
        form = {"rate": rate, "role": role, "confirmed": "true"}

        page = client.post("/console/limits/admin/set", data=form, headers=admin)

        assert page.status_code == 422
        invalid = re.findall(r'<input id="(\w+)"[^>]*aria-invalid="true"', page.text)
        assert invalid == [field]
        assert "<b>" not in page.text
        assert f'value="{rate}"' in page.text.replace("&lt;", "<").replace("&gt;", ">")
        assert audited(app) == []

    def test_an_unknown_limit_is_a_404(self, client: FlaskClient, admin: Headers) -> None:
        form = {"rate": "1/1", "confirmed": "true"}

        for page in (
            client.get("/console/limits/nothing", headers=admin),
            client.post("/console/limits/nothing/set", data=form, headers=admin),
            client.post("/console/limits/nothing/unset", data={"role": ""}, headers=admin),
        ):
            assert "No rate limit nothing: choose from" in text_of(page, 404)

    def test_an_override_that_is_not_there_cannot_be_unset(
        self, app: Flask, client: FlaskClient, admin: Headers
    ) -> None:
        form = {"confirmed": "true"}

        page = client.post("/console/limits/admin/unset", data=form, headers=admin)

        assert "There is nothing to do" in text_of(page)
        assert audited(app) == []

    def test_the_form_is_not_there_in_read_mode(self, make_app: MakeApp) -> None:
        client = make_app(console="read").test_client(use_cookies=False)
        headers = session_headers(1, **ADMIN_DATA)

        assert "Set a rate" not in client.get("/console/limits/admin", headers=headers).text


class TestClients:
    def test_the_nearest_to_a_limit_are_found_when_asked_for(
        self, client: FlaskClient, admin: Headers, limiter: Limiter, redis: RedisClient
    ) -> None:
        limiter.hit(Charge(ADMIN, "192.0.2.1", 120))
        limiter.hit(Charge(ADMIN, "192.0.2.2", 60))

        asked = text_of(client.get("/console/limits/nearest", headers=admin))
        page = client.get("/console/limits/nearest?budget=1000", headers=admin)

        assert "192.0.2.1" not in asked
        found = re.findall(r"(192\.0\.2\.\d|user:1) admin \d+ 120 ([\d.]+) %", text_of(page))
        assert found[:2] == [("192.0.2.1", "100"), ("192.0.2.2", "50")]
        assert f"Read all {size_of(redis)} keys of the database with the limits" in text_of(page)
        assert "data-refresh" not in page.text

    def test_a_client_is_looked_up_and_cleared(
        self, app: Flask, client: FlaskClient, admin: Headers, limiter: Limiter
    ) -> None:
        limiter.hit(Charge(ADMIN, "192.0.2.1", 120))

        page = client.get("/console/limits/client?client=192.0.2.1", headers=admin)
        assert "192.0.2.1 Limits that the client has used" in text_of(page)
        assert "admin 120 120 100 % 1 min" in text_of(page)

        asked = client.post("/console/limits/clear", data={"client": "192.0.2.1"}, headers=admin)
        assert "Clear 1 limit of 192.0.2.1?" in text_of(asked)
        confirm(client, admin, asked)

        assert limiter.hit(Charge(ADMIN, "192.0.2.1")).allowed
        assert audited(app) == [("user=1", "limits clear", "192.0.2.1", 1)]

    def test_a_client_that_has_used_nothing(
        self, app: Flask, client: FlaskClient, admin: Headers
    ) -> None:
        page = client.get("/console/limits/client?client=nobody", headers=admin)
        act = {"client": "nobody", "confirmed": "true"}
        asked = client.post("/console/limits/clear", data=act, headers=admin)

        assert "This client has used no limit" in text_of(page)
        assert "There is nothing to do" in text_of(asked)
        assert audited(app) == []

    def test_clients_with_html_and_odd_keys_are_escaped_or_skipped(
        self, client: FlaskClient, admin: Headers, limiter: Limiter, redis: RedisClient
    ) -> None:
        name = '"><script>alert(1)</script>\u202e'
        limiter.hit(Charge(ADMIN, name, 100))
        for key in ("", "odd", "%", "sha256=x"):
            redis.set(f"rate_limit:taskprocessing:{key}", "odd", ttl=60)
        redis.execute("HSET", "rate_limit:taskprocessing:hash", "admin/60", "odd")
        redis.execute("SET", b"rate_limit:taskprocessing:\xff", "odd")

        page = client.get("/console/limits/nearest?budget=1000", headers=admin)
        own = client.get("/console/limits/client", query_string={"client": name}, headers=admin)

        for each in (page, own):
            assert "<script>alert" not in each.text
            assert '"><script>alert(1)</script>\\u202e' in text_of(each)
