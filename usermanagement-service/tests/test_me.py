"""/users/me: the routes of a user, for the user of the session."""

import pytest
from flask.testing import FlaskClient

from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit, RedisClient
from common.pyportal_common.testing.kit import (
    API,
    bearer,
    json_of,
    problem_of,
    session_headers,
    statements_of,
)

from .conftest import (
    JANE,
    JOHN,
    NEW_PASSWORD,
    Headers,
    Json,
    LogIn,
    MakeApp,
    register,
    session_of,
    user_path,
)

ME = f"{API}/users/me"
PASSWORDS = {"currentPassword": JOHN["password"], "newPassword": NEW_PASSWORD}


def test_me_is_the_user_of_the_session(client: FlaskClient, john: Json, headers: Headers) -> None:
    jane = register(client, JANE)
    janes = bearer(session_of(client, "jane_doe"))

    assert client.get(ME, headers=headers).json == {"user": john}
    assert client.get(ME, headers=janes).json == {"user": jane}


def test_all_that_a_user_may_do_to_themselves(
    client: FlaskClient, john: Json, headers: Headers
) -> None:
    changed = client.patch(ME, json={"firstName": "Jonathan"}, headers=headers)
    renewed = client.put(f"{ME}/password", json=PASSWORDS, headers=headers)
    headers = bearer(json_of(renewed)["session_id"])
    shown = client.get(user_path(john), headers=headers)
    deleted = client.delete(ME, headers=headers)

    names = [json_of(each)["user"]["firstName"] for each in (changed, shown)]
    assert names == ["Jonathan", "Jonathan"]
    assert deleted.status_code == 204
    assert client.get(ME, headers=headers).status_code == 401


def test_a_change_by_either_path_is_visible_in_the_other_at_once(
    client: FlaskClient, john: Json, headers: Headers
) -> None:
    for name, written, read in (("Jo", ME, user_path(john)), ("Jon", user_path(john), ME)):
        client.get(read, headers=headers)  # fills the cache
        client.patch(written, json={"firstName": name}, headers=headers)

        assert json_of(client.get(read, headers=headers))["user"]["firstName"] == name


def test_a_cached_user_needs_no_sql(
    client: FlaskClient, services: Services, headers: Headers, redis_client: RedisClient, john: Json
) -> None:
    redis_client.delete(f"user:{john['id']}")
    client.get(ME, headers=headers)
    statements = statements_of(services.database)

    assert client.get(ME, headers=headers).json == {"user": john}
    assert statements == []


def test_both_paths_share_the_limit_of_reads(make_app: MakeApp, john: Json, log_in: LogIn) -> None:
    app = make_app(rate_limit_reads=RateLimit("reads", 2, 60))
    client, headers = app.test_client(use_cookies=False), bearer(log_in())

    paths = [ME, user_path(john), ME]

    assert [client.get(path, headers=headers).status_code for path in paths] == [200, 200, 429]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ME), ("PATCH", ME), ("DELETE", ME), ("PUT", f"{ME}/password")],
)
class TestRefused:
    def test_without_a_session_it_is_a_401(
        self, client: FlaskClient, method: str, path: str
    ) -> None:
        assert client.open(path, method=method).status_code == 401

    def test_services_have_no_user(self, make_app: MakeApp, method: str, path: str) -> None:
        client = make_app(service_tokens="notification:a-token-of-notification").test_client()

        response = client.open(
            path, method=method, headers={"X-Service-Token": "a-token-of-notification"}
        )

        assert response.status_code == 401

    def test_a_session_without_a_user_of_this_portal_is_a_403(
        self, client: FlaskClient, method: str, path: str
    ) -> None:
        headers = session_headers("someone")  # type: ignore[arg-type]  # as of another app
        json = {"PATCH": {"firstName": "Jo"}, "PUT": PASSWORDS}.get(method)

        response = client.open(path, method=method, json=json, headers=headers)

        assert response.status_code == 403


@pytest.mark.parametrize("path", ["/users/Me", "/users/me2", "/users/me/", "/users/0", "/users/-1"])
def test_nothing_else_is_a_user(client: FlaskClient, headers: Headers, path: str) -> None:
    assert client.get(API + path, headers=headers).status_code == 404


def test_an_unknown_parameter_is_a_422(client: FlaskClient, headers: Headers) -> None:
    assert problem_of(client.get(f"{ME}?all=true", headers=headers)) == (422, ["all"])


def test_the_description_has_both_paths_of_every_route(client: FlaskClient) -> None:
    paths = json_of(client.get("/openapi.json"))["paths"]

    of_a_user = {
        path: each
        for path, each in paths.items()
        if "/users/{user_id}" in path and "/admin/" not in path
    }

    assert of_a_user
    assert of_a_user[f"{API}/users/{{user_id}}/factors/removal"].pop("put")  # only for admins
    for path, methods in of_a_user.items():
        mine = paths[path.replace("{user_id}", "me")]
        assert mine.keys() == methods.keys()
        for method, operation in mine.items():
            assert operation["summary"] == methods[method]["summary"]
            assert operation["operationId"] != methods[method]["operationId"]
            assert operation["security"] == [{"session": []}]
