"""CORS: which pages may call a service, by its responses. Browsers are in e2e/test_cors.py."""

from collections.abc import Callable

import pytest
from flask import Flask, Response, jsonify
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.pyportal_common.cache_handlers import RateLimit, RedisClient, SessionStore
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.settings import ConfigurationError, ServiceSettings
from common.pyportal_common.testing.kit import bearer
from common.pyportal_common.web import login_required, rate_limit, responses, with_etag

from .load import Connect

NEIGHBOUR = "http://localhost:3000"  # another port of the service's host
STRANGER = "https://app.example.com"
EVIL = "https://evil.example"
ALLOWED = "Access-Control-Allow-Origin"
CREDENTIALS = "Access-Control-Allow-Credentials"


class Limited(ServiceSettings):
    """A service's settings with one rate limit."""

    rate_limit_few: RateLimit = RateLimit("few", 2, 60)


@pytest.fixture
def make_client(make_service: Callable[..., Flask]) -> Callable[..., FlaskClient]:
    def make(*origins: str, **options: RedisClient) -> FlaskClient:
        settings = Limited.load(
            cors_origins=",".join(origins), public_url="https://portal.example.com"
        )
        app = make_service(settings, **options)
        add_routes(app)
        return app.test_client(use_cookies=False)

    return make


@pytest.fixture
def client(make_client: Callable[..., FlaskClient]) -> FlaskClient:
    return make_client(NEIGHBOUR, STRANGER)


def add_routes(app: Flask) -> None:
    @app.route("/own", methods=["GET", "POST"])
    @login_required()
    @responses()
    def own() -> Response:
        return with_etag(jsonify(own=True))

    @app.get("/few")
    @rate_limit("few")
    def few() -> Response:
        return jsonify(few=True)

    @app.get("/broken")
    def broken() -> Response:
        raise OSError


def preflight(client: FlaskClient, path: str, origin: str, method: str = "POST") -> TestResponse:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return client.options(path, headers=headers)


def names(response: TestResponse, header: str) -> set[str]:
    return set(response.headers[header].split(", "))


class TestPreflight:
    @pytest.mark.parametrize("path", ["/own", "/few", "/nothing"])
    def test_it_is_answered_for_two_hours(self, client: FlaskClient, path: str) -> None:
        response = preflight(client, path, NEIGHBOUR, "DELETE")

        assert (response.status_code, response.data) == (204, b"")
        assert response.headers[ALLOWED] == NEIGHBOUR
        assert names(response, "Access-Control-Allow-Methods") >= {"GET", "POST", "DELETE"}
        assert names(response, "Access-Control-Allow-Headers") >= {
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-None-Match",
            "Prefer",
        }
        assert response.headers["Access-Control-Max-Age"] == "7200"
        assert "Origin" in response.vary

    def test_it_needs_no_login_and_counts_for_no_limit(self, client: FlaskClient) -> None:
        assert {preflight(client, "/few", STRANGER).status_code for _ in range(5)} == {204}

        response = client.get("/few", headers={"Origin": STRANGER})
        assert (response.status_code, response.headers["X-RateLimit-Remaining"]) == (200, "1")

    def test_another_origin_is_not_allowed(self, client: FlaskClient) -> None:
        response = preflight(client, "/own", EVIL)

        assert not any(name.startswith("Access-Control") for name in dict(response.headers))
        assert "Origin" in response.vary

    def test_options_that_is_no_preflight_lists_the_methods(self, client: FlaskClient) -> None:
        response = client.options("/own", headers={"Origin": STRANGER})

        assert response.status_code == 200
        assert names(response, "Allow") == {"GET", "HEAD", "POST", "OPTIONS"}


class TestResponses:
    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [
            (NEIGHBOUR, True),
            (STRANGER, True),
            (EVIL, False),
            ("https://portal.example.com", False),  # PUBLIC_URL
            ("null", False),
            ("http://localhost", False),
            ("http://localhost:3001", False),
            ("http://localhost:30000", False),
            ("https://localhost:3000", False),
            ("https://x.app.example.com", False),
            ("https://app.example.com.evil.example", False),
            ("https://app.example.com/", False),
            (f"{NEIGHBOUR}, {EVIL}", False),
        ],
    )
    def test_the_origin_is_compared_exactly(
        self, client: FlaskClient, origin: str, allowed: bool
    ) -> None:
        response = client.get("/livez", headers={"Origin": origin})

        assert response.status_code == 200
        assert response.headers.get(ALLOWED) == (origin if allowed else None)
        assert (CREDENTIALS in response.headers) == (origin == NEIGHBOUR)
        assert "Origin" in response.vary

    @pytest.mark.parametrize(
        ("headers", "same_site"),
        [
            ({"Origin": STRANGER}, False),
            ({"Origin": STRANGER, "Sec-Fetch-Site": "cross-site"}, False),
            ({"Origin": STRANGER, "Host": "app.example.com:5001"}, False),  # of another scheme
            ({"Origin": STRANGER, "Sec-Fetch-Site": "same-site"}, True),  # of a subdomain
            ({"Origin": NEIGHBOUR}, True),
            ({"Origin": NEIGHBOUR, "Host": "localhost.example.com"}, False),
            ({"Origin": EVIL, "Sec-Fetch-Site": "same-site"}, False),
            ({"Origin": NEIGHBOUR, "Host": "[::1"}, False),  # is no URL
        ],
    )
    def test_cookies_are_for_the_same_site(
        self, client: FlaskClient, headers: dict[str, str], same_site: bool
    ) -> None:
        response = client.get("/livez", headers=headers)

        assert response.headers.get(CREDENTIALS) == ("true" if same_site else None)

    def test_a_page_reads_limits_tags_and_links(self, client: FlaskClient) -> None:
        response = client.get("/few", headers={"Origin": STRANGER})

        exposed = names(response, "Access-Control-Expose-Headers")
        own = {name for name in dict(response.headers) if name.startswith("X-")}
        assert exposed >= own - {"X-Content-Type-Options"}  # which is for the browser
        assert exposed >= {
            "ETag",
            "Idempotency-Replayed",
            "Link",
            "Location",
            "Retry-After",
            "WWW-Authenticate",
        }

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/own", 401),
            ("GET", "/nothing", 404),
            ("DELETE", "/own", 405),
            ("GET", "/broken", 500),
        ],
    )
    def test_a_page_reads_errors(
        self, client: FlaskClient, method: str, path: str, status: int
    ) -> None:
        response = client.open(path, method=method, headers={"Origin": STRANGER})

        assert response.status_code == status
        assert response.headers[ALLOWED] == STRANGER

    def test_a_page_reads_which_methods_a_route_has(self, client: FlaskClient) -> None:
        response = client.delete("/own", headers={"Origin": STRANGER})

        assert "POST" in names(response, "Allow")
        assert "Allow" in names(response, "Access-Control-Expose-Headers")

    def test_a_page_reads_that_it_is_over_a_limit(self, client: FlaskClient) -> None:
        codes = [client.get("/few", headers={"Origin": STRANGER}) for _ in range(3)]

        assert codes[-1].status_code == 429
        assert codes[-1].headers[ALLOWED] == STRANGER

    def test_a_page_reads_outages(
        self,
        make_client: Callable[..., FlaskClient],
        own_redis: RedisServer,
        connect: Connect,
    ) -> None:
        client = make_client(STRANGER, redis_client=connect(own_redis))
        own_redis.kill()

        response = client.get("/own", headers={"Origin": STRANGER} | bearer("some-session"))

        assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
        assert response.headers[ALLOWED] == STRANGER

    def test_a_page_reads_unchanged_responses(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        session = SessionStore(redis_client).create(7, {})
        headers = {"Origin": STRANGER} | bearer(session.session_id)
        tag = client.get("/own", headers=headers).headers["ETag"]

        response = client.get("/own", headers=headers | {"If-None-Match": tag})

        assert (response.status_code, response.headers[ALLOWED]) == (304, STRANGER)

    def test_without_origins_nothing_is_added(
        self, make_client: Callable[..., FlaskClient]
    ) -> None:
        response = make_client().get("/livez", headers={"Origin": STRANGER})

        assert "Vary" not in response.headers
        assert not any(name.startswith("Access-Control") for name in dict(response.headers))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": NEIGHBOUR}, 200),
        ({"Origin": NEIGHBOUR, "Sec-Fetch-Site": "same-site"}, 200),
        ({"Origin": STRANGER, "Sec-Fetch-Site": "cross-site"}, 200),
        ({"Origin": "https://portal.example.com"}, 200),
        ({"Origin": "https://portal.example.com", "Sec-Fetch-Site": "same-site"}, 200),
        ({"Origin": "http://localhost:3001", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": EVIL}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_writes_by_cookie_come_from_public_url_or_the_list(
    client: FlaskClient, redis_client: RedisClient, headers: dict[str, str], status: int
) -> None:
    cookie = f"__Host-session={SessionStore(redis_client).create(7, {}).session_id}"

    response = client.post("/own", headers={"Cookie": cookie} | headers)

    assert response.status_code == status


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "null",
        "app.example.com",
        "https://*.example.com",
        "https://app.example.com/",
        "https://app.example.com/page",
        "https://app.example.com:443",
        "http://App.example.com",
        "https://user@app.example.com",
        "https://app.example.com https://b.example.com",
        "http://localhost:3000,*",
        "http://localhost:99999",
        "http://[::1",
        "file://",
    ],
)
def test_what_is_no_origin_is_refused_at_the_start(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"CORS_ORIGINS.*https://"):
        ServiceSettings.load(cors_origins=value)


def test_origins_are_separated_by_commas() -> None:
    settings = ServiceSettings.load(cors_origins=" http://[::1]:3000, https://a.example,")

    assert settings.cors_origins == {"http://[::1]:3000", "https://a.example"}


@pytest.mark.parametrize(
    "value",
    ["https://portal.example.com/", "https://Portal.example.com:443", "https://portal.example.com"],
)
def test_public_url_is_compared_as_browsers_send_it(value: str) -> None:
    assert ServiceSettings.load(public_url=value).public_url == "https://portal.example.com"


@pytest.mark.parametrize("rest", ["/portal", "/portal/", "?page=1", "#top", "//"])
def test_public_url_has_no_path_which_links_in_e_mails_would_lack(rest: str) -> None:
    with pytest.raises(ConfigurationError, match=r"PUBLIC_URL.*without a path"):
        ServiceSettings.load(public_url=f"https://portal.example.com{rest}")
