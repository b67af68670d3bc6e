"""The console: who may open it, what its pages show, and what its acts do."""

import html
import re
import sys
import threading
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.admin_settings import AdminSettings
from common.pyportal_common.cache_handlers import SessionStore, get_session_client
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.settings import ConfigurationError
from common.pyportal_common.testing.kit import bearer, session_headers

from .pages import (
    ADMIN_DATA,
    PUBLIC_URL,
    Headers,
    MakeApp,
    age_login,
    audited,
    confirm,
    ids_in,
    pages_and_acts,
    press,
    text_of,
)
from .service import Services, put_failed, put_failed_messages


class TestOff:
    def test_nothing_is_there_and_nothing_is_imported(self, make_app: MakeApp) -> None:
        package = "common.pyportal_common.admin.console"
        for name in [name for name in sys.modules if name.startswith(package)]:
            del sys.modules[name]

        client = make_app(console="off").test_client()

        assert not [name for name in sys.modules if name.startswith(package)]
        for path in ("/console", "/console/jobs", "/console/static/console.css"):
            assert client.get(path).status_code == 404
            assert client.get(path).mimetype == "application/json"

    def test_it_starts_no_thread(self, make_app: MakeApp) -> None:
        make_app(console="off")
        before = threading.active_count()

        make_app(console="on")

        assert threading.active_count() == before


class TestGuard:
    def test_every_page_and_act_requires_an_admin_with_a_recent_login(
        self, app: Flask, client: FlaskClient
    ) -> None:
        store = SessionStore(get_session_client())
        user = session_headers(7)
        forged = bearer("x" * 43)
        routes = pages_and_acts(app)
        assert len(routes) > 10

        for method, path in routes:
            for headers in ({}, forged):
                response = client.open(path, method=method, headers=headers)
                assert response.status_code == 303, path
                location = response.headers["Location"]
                assert location.startswith(
                    f"{PUBLIC_URL}/console/login?next=http%3A%2F%2Flocalhost"
                )
            if path == "/console/logout":
                continue
            assert "Only admins" in text_of(client.open(path, method=method, headers=user), 403)
        assert store.list(7)  # the user's session has not ended

    def test_an_old_login_is_renewed_first(self, make_app: MakeApp) -> None:
        client = make_app(admin_login_seconds=60).test_client(use_cookies=False)
        headers = session_headers(1, **ADMIN_DATA)
        age_login(headers, 61)

        response = client.get("/console/jobs?x=1", headers=headers)

        assert response.status_code == 303
        assert response.headers["Location"] == (
            f"{PUBLIC_URL}/console/login"
            "?next=http%3A%2F%2Flocalhost%2Fconsole%2Fjobs%3Fx%3D1&reason=old"
        )

    @pytest.mark.parametrize(
        ("form", "target"),
        [
            ({"back": "/console/jobs/operations?since=2h"}, "/console/jobs/operations?since=2h"),
            ({"ids": ["1", "2"], "back": "/console/jobs?x=1"}, "/console/jobs?x=1"),
            ({}, "/console/jobs"),
            ({"back": "https://evil.example"}, "/console/jobs"),
            ({"back": "//evil.example"}, "/console/jobs"),
            ({"back": "/console/" + "x" * 1000}, "/console/jobs"),
            ({"back": "/console/jobs\n"}, "/console/jobs"),
        ],
    )
    def test_an_old_login_is_renewed_before_an_act_and_leads_to_its_page(
        self, make_app: MakeApp, form: dict[str, str], target: str
    ) -> None:
        client = make_app(has_users=True, admin_login_seconds=60).test_client(use_cookies=False)
        headers = session_headers(1, **ADMIN_DATA)
        age_login(headers, 61)

        response = client.post("/console/jobs/operations/retry", data=form, headers=headers)

        assert response.status_code == 303
        query = parse_qs(urlsplit(response.headers["Location"]).query)
        assert query == {"next": [target], "reason": ["act"]}

    def test_a_part_of_a_page_redirects_the_whole_page(self, client: FlaskClient) -> None:
        response = client.get("/console/jobs", headers={"HX-Request": "true"})

        assert response.status_code == 401
        assert response.headers["HX-Redirect"].startswith(f"{PUBLIC_URL}/console/login?next=")

    def test_the_service_with_the_users_has_the_page_to_log_in(self, make_app: MakeApp) -> None:
        client = make_app(has_users=True).test_client()

        assert client.get("/console/jobs").headers["Location"] == (
            "/console/login?next=%2Fconsole%2Fjobs"
        )
        assert client.post("/console/jobs/operations/retry").headers["Location"] == (
            "/console/login?next=%2Fconsole%2Fjobs"  # the form is gone
        )

    @pytest.mark.parametrize(
        "origin",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:9999"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
        ],
    )
    def test_acts_of_other_origins_are_refused(
        self, app: Flask, client: FlaskClient, admin: Headers, services: Services, origin: Headers
    ) -> None:
        [job_id] = put_failed(services.table)
        cookie = {"Cookie": f"__Host-session={admin['Authorization'].removeprefix('Bearer ')}"}

        for method, path in pages_and_acts(app):
            if method == "POST":
                data = {"confirmed": "true"}
                response = client.post(path, data=data, headers={**cookie, **origin})
                assert response.status_code == 403, path

        assert services.table.status(job_id) == "failed"
        assert audited(app) == []

    def test_requests_are_limited_by_user(self, make_app: MakeApp) -> None:
        client = make_app(rate_limit_admin="2/60").test_client(use_cookies=False)
        headers = session_headers(1, **ADMIN_DATA)

        responses = [client.get("/console/jobs", headers=headers) for _ in range(3)]

        assert [each.status_code for each in responses] == [200, 200, 429]
        assert int(responses[2].headers["Retry-After"]) > 0
        assert "Rate limit exceeded" in text_of(responses[2], 429)

    def test_without_redis_the_page_says_what_to_do(
        self, make_app: MakeApp, own_redis: RedisServer
    ) -> None:
        client = make_app(redis_url=own_redis.url).test_client(use_cookies=False)
        headers = session_headers(1, **ADMIN_DATA)
        own_redis.kill()

        response = client.get("/console/jobs", headers=headers)

        assert "Use `flask --app wsgi doctor`" in text_of(response, 503)
        assert int(response.headers["Retry-After"]) > 0

    def test_an_act_that_needs_the_caches_says_that_they_do_not_answer(
        self,
        make_app: MakeApp,
        own_redis: RedisServer,
        redis_server: RedisServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SESSION_REDIS_URL", redis_server.url)
        app = make_app(redis_url=own_redis.url)
        client, headers = app.test_client(use_cookies=False), session_headers(1, **ADMIN_DATA)
        own_redis.kill()

        response = client.post(
            "/console/caches/invalidate", data={"key": "booking:7"}, headers=headers
        )

        text = text_of(response, 503)
        assert "The Redis database of caches is unavailable. Use `flask --app wsgi doctor`" in text
        assert "sessions" not in text

    def test_logging_out_ends_the_session_in_all_services(
        self, client: FlaskClient, admin: Headers
    ) -> None:
        response = client.post("/console/logout", headers=admin)

        assert response.status_code == 303
        assert response.headers["Location"] == f"{PUBLIC_URL}/console/login"
        assert client.get("/console/jobs", headers=admin).status_code == 303


class TestReadOnly:
    def test_every_act_is_refused_and_no_button_is_shown(self, make_app: MakeApp) -> None:
        app = make_app(console="read")
        client, headers = app.test_client(use_cookies=False), session_headers(1, **ADMIN_DATA)
        put_failed(app.extensions["services"].table)
        put_failed_messages(app.extensions["services"])

        for method, path in pages_and_acts(app):
            if path == "/console/logout":
                continue
            response = client.open(path, method=method, headers=headers)
            if method == "POST":
                assert "CONSOLE=read" in text_of(response, 403)
            else:
                assert response.status_code == 200
                posts = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"', response.text)
                assert posts == ["/console/logout"]
                assert "formaction" not in response.text
        assert audited(app) == []


class TestPages:
    def test_every_page_restricts_what_it_loads(
        self, app: Flask, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        put_failed(services.table)
        for method, path in pages_and_acts(app):
            if method == "POST":
                continue
            response = client.get(path, headers=admin)

            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert f"form-action 'self' {PUBLIC_URL};" in policy
            assert response.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<script(?! defer src)|<style|\sstyle=|\son\w+=", response.text)
            assert len(re.findall("<h1", response.text)) == 1

    def test_consoles_of_other_services_are_linked(self, make_app: MakeApp) -> None:
        urls = "Shop=http://localhost:5002, User Management=http://localhost:5001/"
        client = make_app(console_urls=urls).test_client(use_cookies=False)

        page = client.get("/console/jobs", headers=session_headers(1, **ADMIN_DATA))

        assert '<a href="http://localhost:5001/console">User Management</a>' in page.text
        assert "http://localhost:5002" not in page.text  # it is this one

    def test_behind_a_prefix_all_addresses_of_pages_have_it(self, make_app: MakeApp) -> None:
        app = make_app(path_prefix="/shop", rate_limit_admin="1000/60")
        put_failed(app.extensions["services"].table)
        client = app.test_client(use_cookies=False)
        admin = session_headers(1, **ADMIN_DATA)

        for method, path in pages_and_acts(app):
            if method == "GET":
                page = client.get(f"/shop{path}", headers=admin).text
                found = re.findall(r'(?:href|src|action|formaction|hx-get)="(/[^"]*)"', page)
                assert len(found) > 5
                assert [
                    each
                    for each in found
                    if not each.startswith(("/shop/console", "/shop/app/static/"))
                ] == []

    def test_behind_a_prefix_an_act_and_a_login_lead_back_below_it(self, make_app: MakeApp) -> None:
        app = make_app(path_prefix="/shop")
        client = app.test_client(use_cookies=False)
        admin = session_headers(1, **ADMIN_DATA)
        back = "/shop/console/jobs?status=failed"

        done = client.post(
            "/shop/console/jobs/operations/pause",
            data={"back": back, "confirmed": "true"},
            headers=admin,
        )
        refused = client.get("/shop/console/jobs?x=1")

        assert done.headers["Location"] == back
        asked = parse_qs(urlsplit(refused.headers["Location"]).query)
        assert asked["next"] == ["http://localhost/shop/console/jobs?x=1"]

    @pytest.mark.parametrize("urls", ["x", "x=javascript:1", "x=http://a/b/c", "=http://a"])
    def test_an_address_of_a_console_must_be_one(self, urls: str) -> None:
        with pytest.raises(ConfigurationError, match="CONSOLE_URLS"):
            AdminSettings.load(console_urls=urls)

    def test_an_unknown_page_looks_like_the_others(
        self, client: FlaskClient, admin: Headers
    ) -> None:
        for path in ("nothing", "jobs/nothing", "jobs/operations/17", "jobs/operations/x"):
            response = client.get(f"/console/{path}", headers=admin)

            assert response.status_code == 404
            assert "<nav" in response.text

    @pytest.mark.parametrize(
        "query", ["status=" + "x" * 51, "user_id=x", "cursor=x", "x=1",
                  "user_id=1&user_id=2", "user_id=-1", "user_id=" + "9" * 30]
    )  # fmt: skip
    def test_a_wrong_filter_is_explained(
        self, client: FlaskClient, admin: Headers, query: str
    ) -> None:
        response = client.get(f"/console/jobs/operations?{query}", headers=admin)

        assert query.partition("=")[0] in text_of(response, 422)

    def test_a_state_that_does_not_exist_is_a_404(
        self, client: FlaskClient, admin: Headers
    ) -> None:
        response = client.get("/console/jobs/operations?status=bad", headers=admin)

        assert "No possible state bad: choose from pending" in text_of(response, 404)


class TestJobs:
    def test_kinds_are_counted(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        put_failed(services.table, 3)
        services.table.put_one()

        text = text_of(client.get("/console/jobs", headers=admin))

        assert re.search(r"operations on 1 0 3 [\d.]+ \w+ 0 Pause", text), text

    def test_the_list_is_filtered_and_paged(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        ids = put_failed(services.table, 60, user_id=7)
        other = services.table.put_one(user_id=8)

        first = client.get("/console/jobs/operations?status=&user_id=7", headers=admin)
        [path] = re.findall(r'rel="next" href="([^"]+)"', first.text)
        second = client.get(html.unescape(path), headers=admin)

        shown = [int(each) for page in (first, second) for each in ids_in(page)]
        assert shown == sorted(ids, reverse=True)
        assert other not in shown

    def test_a_job_is_shown(self, client: FlaskClient, admin: Headers, services: Services) -> None:
        [job_id] = put_failed(services.table, user_id=7)

        text = text_of(client.get(f"/console/jobs/operations/{job_id}", headers=admin))

        assert f"operations {job_id} State failed Type ok" in text
        assert "Error It rains Retry" in text

    def test_an_act_is_confirmed_with_its_count_and_filter(
        self, app: Flask, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        mine, others = put_failed(services.table, 3, user_id=7), put_failed(services.table)
        form = {"status": "failed", "user_id": "7", "back": "/console/jobs/operations?user_id=7"}

        asked = client.post("/console/jobs/operations/retry", data=form, headers=admin)

        assert "Retry 3 operations? status failed user id 7 Retry 3 operations Back" in text_of(
            asked
        )
        assert {services.table.status(each) for each in mine} == {"failed"}
        assert audited(app) == []

        done = confirm(client, admin, asked)

        assert done.status_code == 303
        assert done.headers["Location"] == "/console/jobs/operations?user_id=7"
        assert {services.table.status(each) for each in mine} == {"pending"}
        assert services.table.status(others[0]) == "failed"
        assert audited(app) == [("user=1", "jobs retry", "operations", 3)]

    def test_the_page_after_an_act_says_what_was_done_once(
        self, app: Flask, admin: Headers, services: Services
    ) -> None:
        browser = app.test_client()
        put_failed(services.table)
        form = {"confirmed": "true", "status": "failed"}
        browser.post("/console/jobs/operations/retry", data=form, headers=admin,
                     base_url="https://localhost")  # fmt: skip

        texts = [
            text_of(browser.get("/console/jobs", headers=admin, base_url="https://localhost"))
            for _ in range(2)
        ]

        assert ["Retried 1 operation" in text for text in texts] == [True, False]

    def test_more_than_a_thousand_jobs_are_retried_in_parts(
        self, app: Flask, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        put_failed(services.table, 1002)
        form = {"status": "failed", "back": "/console/jobs?x=1"}

        asked = client.post("/console/jobs/operations/retry", data=form, headers=admin)
        first = press(client, admin, asked)
        last = press(client, admin, first)

        assert "Retry 1,002 operations? Each confirmation is for up to 1,000." in text_of(asked)
        assert "Retry the oldest 1,000" in text_of(asked)
        text = "Retried 1,000 operations; 2 are left Each confirmation is for up to 1,000. "
        assert f"{text}status failed Continue Back" in text_of(first)
        assert (last.status_code, last.headers["Location"]) == (303, "/console/jobs?x=1")
        assert [each[1:] for each in audited(app)] == [
            ("jobs retry", "operations", 2),
            ("jobs retry", "operations", 1000),
        ]

    def test_more_than_a_thousand_messages_are_discarded_in_parts(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        put_failed_messages(services, 1001)

        asked = client.post("/console/outbox/discard", data={"confirmed": "true"}, headers=admin)

        assert "Discarded 1,000 failed messages; 1 is left" in text_of(asked)

    def test_selected_jobs_are_cancelled(
        self, app: Flask, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        chosen, left = [services.table.put_one() for _ in range(2)], services.table.put_one()
        form = {"selected": "true", "ids": [str(each) for each in chosen]}

        asked = client.post("/console/jobs/operations/cancel", data=form, headers=admin)
        confirm(client, admin, asked)

        assert {services.table.status(each) for each in chosen} == {"cancelled"}
        assert services.table.status(left) == "pending"
        assert audited(app) == [("user=1", "jobs cancel", "operations", 2)]

    def test_running_jobs_are_asked_to_end_once(
        self,
        client: FlaskClient,
        admin: Headers,
        services: Services,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("common.pyportal_common.admin.console.acts.MOST_CHANGED", 3)
        ids = [services.table.put_one() for _ in range(5)]
        assert len(services.table.jobs.claim(5)) == 5
        path, form = "/console/jobs/operations", {"confirmed": "true"}

        first = client.post(f"{path}/cancel", data=form, headers=admin)
        confirm(client, admin, first)
        again = client.post(f"{path}/cancel", data=form, headers=admin)

        assert "Cancelled 3 operations; 2 are left" in text_of(first)
        assert "Cancel 0 operations? There is nothing to do" in text_of(again)
        assert "Cancel</button>" not in client.get(f"{path}/{ids[0]}", headers=admin).text

    def test_nothing_selected_is_not_everything(
        self, app: Flask, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        [job_id] = put_failed(services.table)
        form = {"selected": "true", "confirmed": "true"}

        response = client.post("/console/jobs/operations/retry", data=form, headers=admin)

        assert "Nothing is selected" in text_of(response, 422)
        assert services.table.status(job_id) == "failed"
        assert audited(app) == []

    def test_what_matches_nothing_cannot_be_confirmed(
        self, app: Flask, client: FlaskClient, admin: Headers
    ) -> None:
        form = {"confirmed": "true"}

        response = client.post("/console/jobs/operations/retry", data=form, headers=admin)

        assert "Retry 0 operations? There is nothing to do." in text_of(response)
        assert audited(app) == []

    def test_kinds_and_schedules_are_paused_with_a_reason_and_resumed(
        self, app: Flask, client: FlaskClient, admin: Headers
    ) -> None:
        for name, page in (("operations", "jobs"), ("delete-old-keys", "schedules")):
            form = {"back": f"/console/{page}"}
            asked = client.post(f"/console/jobs/{name}/pause", data=form, headers=admin)
            assert f"Pause {name}?" in text_of(asked)
            done = confirm(client, admin, asked, reason="It is Sunday")
            assert done.headers["Location"] == f"/console/{page}"
            assert "paused" in text_of(client.get(f"/console/{page}", headers=admin))

        assert "It is Sunday" in client.get("/console/jobs", headers=admin).text
        asked = client.post("/console/jobs/operations/resume", data={"back": ""}, headers=admin)
        confirm(client, admin, asked)

        assert [each[1:3] for each in audited(app)] == [
            ("jobs resume", "operations"),
            ("jobs pause", "delete-old-keys"),
            ("jobs pause", "operations"),
        ]


class TestForms:
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"\xff", 400), (b"%ff=1", 400), (b"ids=%ff", 400), (b"a;b", 400),
            (b"&".join([b"ids=1"] * 1200), 400), (b"x" * 70_000, 413),
            (b"ids=x", 422), (b"ids=-1", 422), (b"ids=" + b"9" * 30, 422), (b"other=1", 422),
            (b"status=a&status=b", 422), (b"confirmed=perhaps", 422),
            (b"back=//evil.example", 422), (b"back=https://evil.example", 422),
            (b"back=/console%0d%0aX:1", 422), (b"back=/consolex", 422), (b"back=/console/%5c", 422),
            (b"&".join([b"ids=%d" % n for n in range(1, 1002)]), 422),
        ],
    )  # fmt: skip
    def test_a_wrong_form_is_refused(
        self, app: Flask, client: FlaskClient, admin: Headers, body: bytes, status: int
    ) -> None:
        response = client.post(
            "/console/jobs/operations/retry",
            data=body,
            content_type="application/x-www-form-urlencoded",
            headers=admin,
        )

        text_of(response, status)
        assert audited(app) == []

    @pytest.mark.parametrize("content_type", [None, "application/json", "multipart/form-data"])
    def test_other_bodies_are_refused(
        self, client: FlaskClient, admin: Headers, content_type: str | None
    ) -> None:
        response = client.post(
            "/console/jobs/operations/retry", data="{}", content_type=content_type, headers=admin
        )

        assert "must be a form" in text_of(response, 415)


class TestOutbox:
    def test_failed_messages_are_shown_without_their_content_and_resent(
        self, app: Flask, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        ids = put_failed_messages(services, 2)

        page = client.get("/console/outbox", headers=admin)
        assert ids_in(page) == [str(each) for each in sorted(ids, reverse=True)]
        form = {"selected": "true", "ids": str(ids[0])}
        confirm(client, admin, client.post("/console/outbox/resend", data=form, headers=admin))
        confirm(
            client, admin, client.post("/console/outbox/discard", data={"ids": ""}, headers=admin)
        )

        assert audited(app) == [
            ("user=1", "outbox discard", "", 1),
            ("user=1", "outbox resend", "", 1),
        ]
        assert "No message has failed" in text_of(client.get("/console/outbox", headers=admin))


class TestAudit:
    def test_acts_are_listed_by_who_did_them(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        put_failed(services.table)
        form = {"confirmed": "true"}
        client.post("/console/jobs/operations/retry", data=form, headers=admin)

        found = text_of(client.get("/console/audit?actor=user%3D1", headers=admin))
        other = text_of(client.get("/console/audit?actor=user%3D2", headers=admin))

        assert "user=1 jobs retry operations" in found
        assert "Nothing matches" in other
