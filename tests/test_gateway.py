"""The gateway of docker-compose.scale.yml, without Docker: nginx with its configuration."""

import json
import re
import shutil
from typing import Any

import pytest

from common.pyportal_common.testing.plugin import missing
from local.client import API, ApiResponse, send

from .common.waiting import wait_until
from .gateways import DOCUMENT, Behaviour, Gateway, Replica, running_gateway
from .paths import routes, service_for
from .portal_api import PORTS

SECONDS = 60  # for what takes one


class TestPaths:
    """The table of paths, and the routes of the services."""

    @pytest.mark.parametrize("name", PORTS)
    def test_a_path_that_only_one_service_has_leads_to_it(self, name: str) -> None:
        of_others = frozenset().union(*(routes(other) for other in PORTS if other != name))

        own = routes(name) - of_others

        assert len(own) > 10
        shared_names = ("/problems/", "/console", f"{API}/admin/")  # each service has its own
        assert [
            path for path in own if service_for(path) != name and not path.startswith(shared_names)
        ] == []

    @pytest.mark.parametrize("name", PORTS)
    def test_each_path_leads_to_its_service_below_the_name(self, name: str) -> None:
        assert [path for path in routes(name) if service_for(f"/{name}{path}") != name] == []


def ask(gateway: Gateway, path: str, method: str = "GET", **headers: str) -> ApiResponse:
    body: Any = None if method == "GET" else {}
    return send(gateway.port, method, path, body, headers=headers, timeout_seconds=SECONDS)


def headers_of(response: ApiResponse) -> dict[str, Any]:
    """The headers that the service received."""
    return dict(response.body["headers"])


class TestReplicas:
    """Which replica gets a request, and when another one gets it again."""

    def test_each_replica_gets_requests(self, gateway: Gateway) -> None:
        def both_have_some() -> bool:
            assert ask(gateway, "/livez").status == 200
            return all(replica.received for replica in gateway.replicas["usermanagement"])

        wait_until(both_have_some, SECONDS)

    def test_a_new_replica_gets_requests_and_one_that_left_gets_none(
        self, gateway: Gateway
    ) -> None:
        old = gateway.replicas["usermanagement"]
        new = Replica("127.0.0.4", old[0].port)
        new.start()

        gateway.dns.addresses["usermanagement-service"] = [new.address]

        wait_until(lambda: ask(gateway, "/livez").body["replica"] == new.address, SECONDS)
        before = len(gateway.received())
        assert {ask(gateway, "/livez").body["replica"] for _ in range(20)} == {new.address}
        assert len(gateway.received()) == before
        new.stop()

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
    def test_a_replica_that_accepts_no_connection_is_skipped(
        self, gateway: Gateway, method: str
    ) -> None:
        gateway.replicas["usermanagement"][0].stop()

        statuses = {ask(gateway, f"/{number}", method).status for number in range(20)}

        assert statuses == {200}
        assert sorted(gateway.received()) == sorted(f"{method} /{number}" for number in range(20))

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_a_request_that_may_be_repeated_is_if_the_connection_breaks(
        self, gateway: Gateway, method: str
    ) -> None:
        gateway.replicas["usermanagement"][0].behaviour = "breaks"

        assert {ask(gateway, "/x", method).status for _ in range(20)} == {200}

        assert gateway.replicas["usermanagement"][0].received

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_a_request_that_may_have_had_an_effect_is_never_repeated(
        self, gateway: Gateway, method: str
    ) -> None:
        for behaviour in ("breaks", "refuses"):
            gateway.replicas["usermanagement"][0].behaviour = behaviour
            paths = [f"/{behaviour}/{number}" for number in range(20)]

            statuses = {ask(gateway, path, method).status for path in paths}

            assert statuses == {200, 503}
        assert len(gateway.received()) == len(set(gateway.received())) == 40

    def test_a_read_that_one_replica_refuses_is_answered_by_another(self, gateway: Gateway) -> None:
        first, second = gateway.replicas["usermanagement"]
        first.behaviour = "refuses"

        assert {ask(gateway, "/x").status for _ in range(20)} == {200}

        second.behaviour = "refuses"
        assert ask(gateway, "/x").status == 503

    def test_without_a_replica_the_answer_is_a_503_of_the_same_form(self, gateway: Gateway) -> None:
        gateway.dns.addresses = {}
        for replica in gateway.replicas["usermanagement"]:
            replica.stop()

        response = ask(gateway, "/livez", **{"X-Request-ID": "mine"})

        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        assert response.headers["X-Request-ID"] == "mine"
        assert response.body == {
            "error": "Temporarily unavailable, try again",
            "code": "unavailable",
            "details": [],
            "request_id": "mine",
        }


class TestRequests:
    """What a service gets of a request, and what it never gets."""

    def test_the_path_arrives_as_it_was_sent(self, gateway: Gateway) -> None:
        for path in (f"{API}/tasks?a=%2F&b=%20", "/taskprocessing/docs", f"{API}/flights/1%2F2"):
            assert ask(gateway, path).body["path"] == path
        assert len(gateway.received("taskprocessing")) == 3

    def test_each_proxy_appends_what_it_saw(self, gateway: Gateway) -> None:
        direct = headers_of(ask(gateway, "/x", Host="portal.example.com:8443"))
        through = headers_of(
            ask(gateway, "/x", **{"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"})
        )

        assert direct["host"] == "portal.example.com:8443"
        assert (direct["x-forwarded-for"], direct["x-forwarded-proto"]) == ("127.0.0.1", "http")
        assert through["x-forwarded-for"] == "192.0.2.1, 127.0.0.1"
        assert through["x-forwarded-proto"] == "https, http"

    def test_a_request_has_an_id_which_is_that_of_the_client_if_it_is_valid(
        self, gateway: Gateway
    ) -> None:
        assert headers_of(ask(gateway, "/x", **{"X-Request-ID": "a.b"}))["x-request-id"] == "a.b"
        for given in ({}, {"X-Request-ID": 'a"b'}):
            found = headers_of(ask(gateway, "/x", **given))["x-request-id"]
            assert re.fullmatch("[0-9a-f]{32}", found)

    @pytest.mark.parametrize(
        "path",
        ["/metrics", "/%6detrics", "//metrics", "/metrics?x=1", "/x/../metrics",
         *(f"/{name}/metrics" for name in PORTS), "/notification//metrics"],
    )  # fmt: skip
    def test_metrics_are_not_reached_from_outside(self, gateway: Gateway, path: str) -> None:
        response = ask(gateway, path)

        assert (response.status, response.body["code"]) == (404, "not-found")
        assert gateway.received() + gateway.received("notification") == []

    def test_the_api_of_all_services_is_one_document(self, gateway: Gateway) -> None:
        response = ask(gateway, "/openapi.json")

        assert response.headers["Content-Type"] == "application/json"
        assert response.body == json.loads(DOCUMENT.read_text("utf-8"))
        assert ask(gateway, "/taskprocessing/openapi.json").body["replica"]

    def test_a_page_of_an_error_is_found_in_the_service_that_has_it(self, gateway: Gateway) -> None:
        def change(name: str, behaviour: Behaviour) -> None:
            for replica in gateway.replicas[name]:
                replica.behaviour = behaviour

        assert ask(gateway, "/problems/x").status == 200
        assert gateway.received("taskprocessing") == []
        change("usermanagement", "misses")
        assert ask(gateway, "/problems/x").status == 200
        assert gateway.received("taskprocessing") == ["GET /problems/x"]
        change("taskprocessing", "misses")
        assert ask(gateway, "/problems/x").status == 200
        assert gateway.received("notification") == ["GET /problems/x"]
        change("notification", "misses")
        assert ask(gateway, "/problems/x").status == 404

    def test_a_body_that_no_service_accepts_is_a_413(self) -> None:
        if shutil.which("nginx") is None:
            missing("nginx")
        with running_gateway(MAX_BODY_BYTES="2048") as gateway:
            responses = [
                send(gateway.port, "POST", "/x", "x" * size, timeout_seconds=SECONDS)
                for size in (1000, 3000)
            ]

            assert [each.status for each in responses] == [200, 413]
            assert responses[1].body["code"] == "body-too-long"
            assert len(gateway.received()) == 1
