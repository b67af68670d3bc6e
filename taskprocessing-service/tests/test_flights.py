"""Flights over HTTP."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.testing.kit import json_of

from .conftest import FLIGHT, FLIGHTS, Headers, Json, Portal, booking


def path(flight: Json) -> str:
    return f"{FLIGHTS}/{flight['flightId']}"


class TestAdd:
    def test_admin_adds_a_flight_and_all_users_see_it(
        self, client: FlaskClient, admin: Headers, john: Headers
    ) -> None:
        response = client.post(FLIGHTS, json=FLIGHT, headers=admin)

        assert response.status_code == 201
        flight = json_of(response)["flight"]
        assert flight == {**flight, **FLIGHT, "availableSeats": 100}
        assert response.headers["Location"] == path(flight)
        assert client.get(path(flight), headers=john).json == {"flight": flight}
        assert client.get(FLIGHTS, headers=john).json == {"items": [flight], "next": None}

    def test_others_cannot_add_or_change_flights(
        self, client: FlaskClient, john: Headers, flight: Json
    ) -> None:
        assert client.post(FLIGHTS, json=FLIGHT, headers=john).status_code == 403
        assert client.patch(path(flight), json={"totalSeats": 5}, headers=john).status_code == 403
        assert client.get(FLIGHTS).status_code == 401

    @pytest.mark.usefixtures("flight")
    def test_same_number_at_the_same_time_is_a_409(
        self, client: FlaskClient, admin: Headers
    ) -> None:
        response = client.post(FLIGHTS, json=FLIGHT, headers=admin)

        assert response.status_code == 409
        assert json_of(response)["details"][0]["field"] == "flightNumber"

    def test_repeated_request_with_a_key_gets_the_same_response(
        self, client: FlaskClient, admin: Headers
    ) -> None:
        headers = admin | {"Idempotency-Key": "a-flight"}

        responses = [client.post(FLIGHTS, json=FLIGHT, headers=headers) for _ in range(2)]

        assert [response.status_code for response in responses] == [201, 201]
        assert responses[0].data == responses[1].data
        assert responses[1].headers["Idempotency-Replayed"] == "true"


class TestRead:
    @pytest.mark.parametrize(
        ("query", "numbers"),
        [
            ("origin=LIS", ["PY101"]),
            ("destination=LIS", ["PY102"]),
            ("origin=LIS&destination=LIS", []),
        ],
    )
    @pytest.mark.usefixtures("flight")
    def test_filter_by_origin_and_destination(
        self, client: FlaskClient, admin: Headers, john: Headers, query: str, numbers: list[str]
    ) -> None:
        back = FLIGHT | {"flightNumber": "PY102", "origin": "OSL", "destination": "LIS"}
        client.post(FLIGHTS, json=back, headers=admin)

        found = json_of(client.get(f"{FLIGHTS}?{query}", headers=john))["items"]

        assert [flight["flightNumber"] for flight in found] == numbers

    def test_list_has_pages(self, client: FlaskClient, admin: Headers) -> None:
        for number in range(51):
            client.post(FLIGHTS, json=FLIGHT | {"flightNumber": f"PY{number}"}, headers=admin)

        first = json_of(client.get(FLIGHTS, headers=admin))
        second = json_of(client.get(f"{FLIGHTS}?cursor={first['next']}", headers=admin))

        shown = [flight["flightNumber"] for flight in first["items"] + second["items"]]
        assert shown == [f"PY{number}" for number in range(51)]
        assert len(first["items"]) == 50
        assert second["next"] is None

    def test_unknown_flight_is_a_404(self, client: FlaskClient, john: Headers) -> None:
        assert client.get(f"{FLIGHTS}/999999", headers=john).status_code == 404
        assert client.get(f"{FLIGHTS}/999999/availability", headers=john).status_code == 404


class TestChange:
    def test_admin_changes_the_departure(
        self, client: FlaskClient, admin: Headers, flight: Json
    ) -> None:
        change = {"departsAt": "2099-02-01T09:30:00Z"}

        response = client.patch(path(flight), json=change, headers=admin)

        assert json_of(response)["flight"]["departsAt"] == change["departsAt"]
        unknown = client.patch(f"{FLIGHTS}/999999", json=change, headers=admin)
        assert unknown.status_code == 404

    def test_seats_can_be_added_and_removed_down_to_those_booked(
        self, portal: Portal, admin: Headers, john: Headers, flight: Json
    ) -> None:
        portal.run(john, booking(flight, 10))

        refused = portal.client.patch(path(flight), json={"totalSeats": 9}, headers=admin)

        assert refused.status_code == 409
        assert json_of(refused)["details"][0]["field"] == "totalSeats"
        assert portal.seats_left(john, flight) == 90
        for total, left in ((10, 0), (12, 2)):
            portal.client.patch(path(flight), json={"totalSeats": total}, headers=admin)
            assert portal.seats_left(john, flight) == left

    @pytest.mark.parametrize("body", [{}, {"totalSeats": None}, {"origin": "OSL"}])
    def test_change_of_nothing_is_a_422(
        self, client: FlaskClient, admin: Headers, flight: Json, body: dict[str, Any]
    ) -> None:
        assert client.patch(path(flight), json=body, headers=admin).status_code == 422
