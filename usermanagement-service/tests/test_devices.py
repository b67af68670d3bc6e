"""The list of sessions with their devices, and ending sessions, also by admins."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from app.services import Services
from app.sessions.devices import coarse_network, device_of
from common.pyportal_common.cache_handlers import RedisClient, SessionStore
from common.pyportal_common.db import Act, Actor
from common.pyportal_common.db.audit import AUDIT
from common.pyportal_common.testing.kit import (
    API,
    bearer,
    json_of,
    problem_of,
    run_schedule,
    session_headers,
)

from .conftest import (
    CREDENTIALS,
    JANE,
    LOGIN,
    Headers,
    Json,
    LogIn,
    RevocationsFail,
    age_login,
    register,
    session_of,
    user_path,
)

SESSIONS = f"{API}/sessions"
MINE = f"{API}/users/me/sessions"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.0 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0"
)


def log_in_from(client: FlaskClient, user_agent: str, address: str) -> Headers:
    """Headers of John's session, after a login with this program from there."""
    response = client.post(
        LOGIN,
        json=CREDENTIALS,
        headers={"User-Agent": user_agent},
        environ_base={"REMOTE_ADDR": address},
    )
    return bearer(json_of(response)["session_id"])


def items_of(client: FlaskClient, headers: Headers, path: str = SESSIONS) -> list[Json]:
    """The listed sessions."""
    items: list[Json] = json_of(client.get(path, headers=headers))["items"]
    return items


def is_live(client: FlaskClient, headers: Headers) -> bool:
    return client.get(f"{API}/session", headers=headers).status_code == 200


def recorded(services: Services) -> list[tuple[int, int, str, str]]:
    """What admins did: who, to whom, what, and to which session."""
    return [
        (
            int(entry.actor.removeprefix("user=")),
            int(entry.target.removeprefix("user=")),
            entry.action,
            entry.filter.get("session", ""),
        )
        for entry in reversed(services.audit.page().items)
    ]


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        (SAFARI, "Mobile Safari on iOS"),
        (EDGE, "Edge on Windows"),
        ("curl/8.4.0", "curl"),
        ("Werkzeug/3.1", "Unknown device"),
        ("", "Unknown device"),
        (None, "Unknown device"),
        ("\x85\x00Mozilla/5.0 (" * 1000, "Unknown device"),
    ],
)
def test_a_user_agent_in_words(user_agent: str | None, device: str) -> None:
    assert device_of(user_agent) == device


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.55", "192.0.2.0/24"),
        ("192.0.2.55:8080", "192.0.2.0/24"),
        ("::ffff:192.0.2.55", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("[2001:db8:1:2:3::4]:80", "2001:db8:1::/48"),
        ("nowhere", "Unknown network"),
        (None, "Unknown network"),
    ],
)
def test_a_network_is_coarse(address: str | None, network: str) -> None:
    assert coarse_network(address) == network


@pytest.mark.usefixtures("john")
class TestList:
    def test_each_session_shows_its_device_network_and_last_use(self, client: FlaskClient) -> None:
        here = log_in_from(client, FIREFOX, "192.0.2.55")
        log_in_from(client, SAFARI, "2001:db8:1:2:3::4")

        response = client.get(MINE, headers=here)

        items = {item["current"]: item for item in json_of(response)["items"]}
        assert (items[True]["device"], items[True]["network"]) == (
            "Firefox on Linux",
            "192.0.2.0/24",
        )
        assert (items[False]["device"], items[False]["network"]) == (
            "Mobile Safari on iOS",
            "2001:db8:1::/48",
        )
        for item in items.values():
            used_at = datetime.fromisoformat(item["last_used_at"])
            assert (used_at.second, used_at.microsecond) == (0, 0)
            assert timedelta(0) <= datetime.now(UTC) - used_at < timedelta(minutes=3)
        assert "192.0.2.55" not in response.text
        assert here["Authorization"].removeprefix("Bearer ") not in response.text

    def test_a_use_in_any_service_is_a_use(
        self, client: FlaskClient, services: Services, headers: Headers, log_in: LogIn
    ) -> None:
        other, store = log_in(), services.session_store
        document = store.client.get(f"session:{other}") or ""
        earlier = re.sub(r"\b\d{13}\b", lambda at: str(int(at[0]) - 10_000_000), document)  # ms
        store.client.set(f"session:{other}", earlier, 600)

        def minutes_ago() -> float:
            (item,) = [one for one in items_of(client, headers) if not one["current"]]
            used_at = datetime.fromisoformat(item["last_used_at"])
            return (datetime.now(UTC) - used_at).total_seconds() / 60

        assert 50 < minutes_ago() < 54
        SessionStore(store.client).load(other)
        assert minutes_ago() < 3

    def test_a_list_is_the_same_under_all_three_paths(
        self, client: FlaskClient, john: Json, headers: Headers
    ) -> None:
        lists = [
            [(one["id"], one["current"]) for one in items_of(client, headers, path)]
            for path in (SESSIONS, MINE, user_path(john, "sessions"))
        ]

        assert lists[0] == lists[1] == lists[2]
        assert len(lists[0]) == 1

    def test_a_session_without_an_origin_is_listed(self, client: FlaskClient) -> None:
        headers = session_headers(7)

        (item,) = items_of(client, headers)

        assert (item["device"], item["network"]) == ("Unknown device", "Unknown network")

    def test_what_each_service_sees_of_a_session_is_as_before(
        self, client: FlaskClient, headers: Headers
    ) -> None:
        session = json_of(client.get(f"{API}/session", headers=headers))

        assert session["user_data"] == {"username": "john_doe", "role": "user"}
        assert "origin" not in session


@pytest.mark.usefixtures("john")
class TestPages:
    @pytest.mark.parametrize("path", [SESSIONS, MINE])
    def test_links_lead_through_all_pages(
        self, client: FlaskClient, log_in: LogIn, path: str
    ) -> None:
        here, *_ = (bearer(log_in()) for _ in range(5))
        everything = client.get(path, headers=here)
        sizes: list[int] = []
        seen: list[str] = []
        url = f"{path}?limit=2"

        while url and len(sizes) < 4:
            page = client.get(url, headers=here)
            sizes.append(len(json_of(page)["items"]))
            seen += [item["id"] for item in json_of(page)["items"]]
            link = page.headers.get("Link")
            assert (link is None) == (json_of(page)["next"] is None)
            url = link.removeprefix("<").removesuffix('>; rel="next"') if link else ""

        assert seen == [item["id"] for item in json_of(everything)["items"]]
        assert (sizes, everything.headers.get("Link")) == ([2, 2, 1], None)

    def test_sessions_that_began_at_once_are_all_listed(
        self, client: FlaskClient, services: Services, headers: Headers, john: Json
    ) -> None:
        store = services.session_store
        (current,) = store.list(john["id"])
        document = store.client.get(f"session:{current.session_id}") or ""
        for _ in range(4):
            other = store.create(john["id"], {"role": "user"})
            store.client.set(f"session:{other.session_id}", document, 600)

        seen, cursor = set[str](), ""
        for _ in range(5):
            page = json_of(client.get(f"{MINE}?limit=1{cursor}", headers=headers))
            (item,) = page["items"]
            seen.add(item["id"])
            cursor = f"&cursor={page['next']}"

        assert len(seen) == 5

    def test_cursor_whose_session_has_ended_goes_on_where_it_was(
        self, client: FlaskClient, log_in: LogIn
    ) -> None:
        here = [bearer(log_in()) for _ in range(4)][3]
        page = json_of(client.get(f"{MINE}?limit=2", headers=here))
        rest = items_of(client, here, f"{MINE}?cursor={page['next']}")

        for item in page["items"]:
            client.delete(f"{MINE}/{item['id']}", headers=here)

        assert items_of(client, here, f"{MINE}?cursor={page['next']}") == rest
        assert [item["current"] for item in rest] == [False, True]

    @pytest.mark.parametrize("path", [SESSIONS, MINE])
    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=x", "limit"),
            ("cursor=1", "cursor"),
            ("cursor=", "cursor"),
            ("cursor=%00", "cursor"),
            (f"cursor={'1' * 15}-{'g' * 16}", "cursor"),
            (f"cursor={'1' * 15}-{'a' * 16}%0a", "cursor"),
            ("offset=1", "offset"),
        ],
    )
    def test_invalid_page_is_a_422_that_names_the_parameter(
        self, client: FlaskClient, headers: Headers, path: str, query: str, field: str
    ) -> None:
        assert problem_of(client.get(f"{path}?{query}", headers=headers)) == (422, [field])


@pytest.mark.usefixtures("john")
class TestEnd:
    @pytest.mark.parametrize("path", [SESSIONS, MINE])
    def test_one_of_ones_own(self, client: FlaskClient, log_in: LogIn, path: str) -> None:
        here, there = bearer(log_in()), bearer(log_in())
        ids = {item["current"]: item["id"] for item in items_of(client, here, path)}

        other = client.delete(f"{path}/{ids[False]}", headers=here)
        assert (other.status_code, is_live(client, here), is_live(client, there)) == (
            204,
            True,
            False,
        )
        current = client.delete(f"{path}/{ids[True]}", headers=here)
        assert (current.status_code, is_live(client, here)) == (204, False)
        assert "__Host-session=;" in current.headers["Set-Cookie"]

    def test_all_others_of_ones_own(
        self, client: FlaskClient, log_in: LogIn, services: Services
    ) -> None:
        sessions = [bearer(log_in()) for _ in range(3)]

        assert client.delete(MINE, headers=sessions[2]).status_code == 204
        assert [is_live(client, each) for each in sessions] == [False, False, True]
        assert client.delete(f"{MINE}?all=true", headers=sessions[2]).status_code == 204
        assert not is_live(client, sessions[2])
        assert recorded(services) == []

    def test_an_old_login_ends_sessions_too(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        age_login(services, headers)

        assert client.delete(MINE, headers=headers).status_code == 204

    @pytest.mark.parametrize("public_id", ["0" * 16, "x", "*", "%00", "a" * 1000, "../me"])
    def test_an_unknown_id_is_a_404(
        self, client: FlaskClient, headers: Headers, public_id: str
    ) -> None:
        assert client.delete(f"{MINE}/{public_id}", headers=headers).status_code == 404

    def test_a_session_id_is_no_public_id(self, client: FlaskClient, log_in: LogIn) -> None:
        session_id = log_in()

        response = client.delete(f"{MINE}/{session_id}", headers=bearer(session_id))

        assert response.status_code == 404

    def test_of_two_at_once_one_ends_it(self, app: Flask, log_in: LogIn) -> None:
        here, _ = bearer(log_in()), log_in()
        client = app.test_client(use_cookies=False)
        (other,) = [item["id"] for item in items_of(client, here) if not item["current"]]
        barrier = Barrier(2)

        def end(_: int) -> int:
            barrier.wait()
            other_client = app.test_client(use_cookies=False)
            return other_client.delete(f"{MINE}/{other}", headers=here).status_code

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(end, range(2))) == [204, 404]

    def test_after_an_outage_the_request_can_be_repeated(
        self,
        client: FlaskClient,
        log_in: LogIn,
        revocations_fail: RevocationsFail,
    ) -> None:
        here, there = bearer(log_in()), bearer(log_in())

        with revocations_fail():
            assert client.delete(MINE, headers=here).status_code == 503
        assert client.delete(MINE, headers=here).status_code == 204

        assert [is_live(client, each) for each in (here, there)] == [True, False]


class TestAdmins:
    @pytest.fixture
    def jane(self, client: FlaskClient, services: Services) -> Json:
        """An admin."""
        jane = register(client, JANE)
        services.users.set_role("jane_doe", "admin")
        return jane

    @pytest.fixture
    def admin(self, client: FlaskClient, jane: Json) -> Headers:
        """Headers of her session."""
        return bearer(session_of(client, jane["username"]))

    def test_they_see_and_end_one_session_of_another_which_is_recorded(
        self,
        client: FlaskClient,
        services: Services,
        john: Json,
        jane: Json,
        admin: Headers,
        log_in: LogIn,
    ) -> None:
        path = user_path(john, "sessions")
        one, other = bearer(log_in()), bearer(log_in())

        items = items_of(client, admin, path)
        (public_id,) = [item["id"] for item in items_of(client, one, SESSIONS) if item["current"]]
        ended = client.delete(f"{path}/{public_id}", headers=admin)

        assert [item["current"] for item in items] == [False, False]
        assert ended.status_code == 204
        assert "Set-Cookie" not in ended.headers
        assert [is_live(client, each) for each in (one, other, admin)] == [False, True, True]
        assert recorded(services) == [
            (jane["id"], john["id"], "sessions list", ""),
            (jane["id"], john["id"], "sessions revoke", public_id),
        ]

    @pytest.mark.parametrize("query", ["", "?all=true"])
    def test_they_end_all_sessions_of_another(
        self,
        client: FlaskClient,
        services: Services,
        john: Json,
        jane: Json,
        admin: Headers,
        log_in: LogIn,
        query: str,
    ) -> None:
        sessions = [bearer(log_in()) for _ in range(2)]

        ended = client.delete(user_path(john, "sessions") + query, headers=admin)

        assert (ended.status_code, "Set-Cookie" in ended.headers) == (204, False)
        assert [is_live(client, each) for each in (*sessions, admin)] == [False, False, True]
        assert recorded(services) == [(jane["id"], john["id"], "sessions revoke", "")]

    def test_their_own_sessions_are_no_matter_of_records(
        self, client: FlaskClient, services: Services, jane: Json, admin: Headers
    ) -> None:
        path = user_path(jane, "sessions")

        assert len(items_of(client, admin, path)) == 1
        assert client.delete(path, headers=admin).status_code == 204
        assert is_live(client, admin)
        assert recorded(services) == []

    @pytest.mark.parametrize(("method", "more"), [("GET", ""), ("DELETE", ""), ("DELETE", "/0123")])
    class TestRefused:
        def test_without_a_fresh_login(
            self,
            client: FlaskClient,
            services: Services,
            john: Json,
            admin: Headers,
            headers: Headers,
            method: str,
            more: str,
        ) -> None:
            age_login(services, admin)

            response = client.open(user_path(john, "sessions") + more, method=method, headers=admin)

            assert response.status_code == 401
            assert "insufficient_user_authentication" in response.headers["WWW-Authenticate"]
            assert is_live(client, headers)
            assert recorded(services) == []

        def test_for_users_who_are_no_admins(
            self,
            client: FlaskClient,
            services: Services,
            jane: Json,
            headers: Headers,
            method: str,
            more: str,
        ) -> None:
            for user_id in (jane["id"], 999_999):
                path = f"{API}/users/{user_id}/sessions{more}"
                assert client.open(path, method=method, headers=headers).status_code == 403
            assert recorded(services) == []

        def test_for_a_user_who_does_not_exist(
            self, client: FlaskClient, services: Services, admin: Headers, method: str, more: str
        ) -> None:
            path = f"{API}/users/999999/sessions{more}"

            assert client.open(path, method=method, headers=admin).status_code == 404
            assert recorded(services) == []

    def test_nothing_is_done_if_it_cannot_be_recorded(
        self,
        client: FlaskClient,
        services: Services,
        john: Json,
        admin: Headers,
        headers: Headers,
        redis_client: RedisClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise ValueError("made for this test")

        monkeypatch.setattr(services.audit, "record", fail)
        redis_client.delete(f"user:{john['id']}")

        assert client.delete(user_path(john, "sessions"), headers=admin).status_code == 500
        assert is_live(client, headers)

    def test_records_are_deleted_after_a_year(
        self, client: FlaskClient, services: Services, john: Json, admin: Headers
    ) -> None:
        items_of(client, admin, user_path(john, "sessions"))
        with services.database.begin(changes_cached=False) as tx:
            old = services.audit.record(tx, Actor("user=1"), Act("sessions revoke", "user=2"))
            a_year_ago = datetime.now(UTC) - timedelta(days=366)
            tx.execute(update(AUDIT).where(AUDIT.c.id == old).values(at=a_year_ago))

        run_schedule(services, "delete-old-audit")

        assert [row[2] for row in recorded(services)] == ["sessions list"]

    def test_a_deleted_user_leaves_the_records(
        self, client: FlaskClient, services: Services, john: Json, admin: Headers
    ) -> None:
        items_of(client, admin, user_path(john, "sessions"))

        client.delete(user_path(john), headers=admin)

        assert len(recorded(services)) == 1


def test_an_unknown_parameter_is_a_422(client: FlaskClient, headers: Headers) -> None:
    assert problem_of(client.delete(f"{MINE}?everything=1", headers=headers)) == (
        422,
        ["everything"],
    )
