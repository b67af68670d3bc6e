"""What the lists of tasks, bookings and flights have in common: filters, pages and links."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from app.models import Booking, Task
from app.services import Services
from common.pyportal_common.testing.kit import API, json_of, problem_of

from .conftest import EXPORT, FLIGHT, FLIGHTS, TASKS, Headers, Json, Portal, booking

BOOKINGS = f"{API}/bookings"
LISTS = {"tasks": TASKS, "bookings": BOOKINGS, "flights": FLIGHTS}
IDS = {"tasks": "taskId", "bookings": "bookingId", "flights": "flightId"}


def ids(client: FlaskClient, name: str, headers: Headers, query: str) -> list[int]:
    items = json_of(client.get(f"{LISTS[name]}?{query}", headers=headers))["items"]
    return [item[IDS[name]] for item in items]


def followed(client: FlaskClient, url: str, headers: Headers) -> list[list[Json]]:
    """The items of each page, by the links from one to the next."""
    pages = []
    while True:
        response = client.get(url, headers=headers)
        pages.append(json_of(response)["items"])
        link = response.headers.get("Link")
        assert (link is None) == (json_of(response)["next"] is None)
        if link is None:
            return pages
        target, relation = link.split("; ")
        assert relation == 'rel="next"'
        url = urljoin(url, target.strip("<>"))


@pytest.fixture
def five(portal: Portal, client: FlaskClient, admin: Headers, john: Headers) -> None:
    """Five flights, and a booking of each."""
    for number in range(5):
        body = FLIGHT | {
            "flightNumber": f"PY{number}",
            "destination": "OSL" if number % 2 else "VIE",
            "departsAt": f"2099-01-3{number % 2}T23:30:00-02:00",
        }
        flight = json_of(client.post(FLIGHTS, json=body, headers=admin))["flight"]
        portal.run(john, booking(flight))


@pytest.mark.usefixtures("five")
class TestPages:
    @pytest.mark.parametrize("name", LISTS)
    def test_links_lead_through_all_pages(
        self, client: FlaskClient, john: Headers, name: str
    ) -> None:
        [everything] = followed(client, LISTS[name], john)
        assert len(everything) == 5

        pages = followed(client, f"{LISTS[name]}?limit=2", john)

        assert [len(page) for page in pages] == [2, 2, 1]
        assert [item for page in pages for item in page] == everything

    @pytest.mark.parametrize(
        ("name", "query"),
        [
            ("tasks", "status=completed&type=flight_booking"),
            ("bookings", "status=confirmed&origin=LIS&destination=VIE&departure=2099-01-31"),
            ("flights", "origin=LIS&destination=VIE&departure=2099-01-31"),
        ],
    )
    def test_links_keep_the_filters(
        self, client: FlaskClient, john: Headers, name: str, query: str
    ) -> None:
        [found] = followed(client, f"{LISTS[name]}?{query}", john)

        pages = followed(client, f"{LISTS[name]}?{query}&limit=1", john)

        assert len(pages) == len(found) > 1
        assert [item for page in pages for item in page] == found

    def test_links_lead_to_all_bookings_of_a_flight_also_by_empty_pages(
        self, client: FlaskClient, john: Headers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = f"{BOOKINGS}?departure=2099-02-01"
        [found] = followed(client, url, john)
        monkeypatch.setattr("app.bookings.service._SEARCHED", 1)

        pages = followed(client, url, john)

        assert [len(page) for page in pages] == [0, 1, 0, 1, 0]
        assert [item for page in pages for item in page] == found
        monkeypatch.setattr("app.bookings.service._SEARCHED", 3)
        assert [len(page) for page in followed(client, url, john)] == [1, 1]
        assert [len(page) for page in followed(client, f"{url}&limit=1", john)] == [1, 1]

    @pytest.mark.parametrize("name", LISTS)
    def test_page_of_all_items_has_no_link(
        self, client: FlaskClient, john: Headers, name: str
    ) -> None:
        assert len(followed(client, f"{LISTS[name]}?limit=5", john)) == 1
        assert len(followed(client, f"{LISTS[name]}?limit=4", john)) == 2

    @pytest.mark.parametrize("name", ["tasks", "bookings"])
    def test_cursor_whose_row_is_gone_goes_on_where_it_was(
        self, client: FlaskClient, services: Services, john: Headers, name: str
    ) -> None:
        cursor = json_of(client.get(f"{LISTS[name]}?limit=2", headers=john))["next"]
        rest = ids(client, name, john, f"cursor={cursor}")
        with services.database.begin() as tx:
            booked = tx.get_one(Booking, int(cursor))
            booked.user_id = tx.get_one(Task, int(cursor)).user_id = 0

        assert ids(client, name, john, f"cursor={cursor}") == rest
        assert len(rest) == 3

    @pytest.mark.parametrize("name", LISTS)
    def test_cursor_of_any_number_is_a_place_in_the_list(
        self, client: FlaskClient, john: Headers, name: str
    ) -> None:
        everything = ids(client, name, john, "")
        first, last = "1", "9" * 18
        before, after = (last, first) if name == "flights" else (first, last)

        assert ids(client, name, john, f"cursor={before}") == []
        assert set(ids(client, name, john, f"cursor={after}")) >= set(everything[1:])


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        (f"limit={'9' * 5000}", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=0", "cursor"),
        ("cursor=" + "9" * 19, "cursor"),
        ("cursor=1%00", "cursor"),
        ("cursor=1%0a", "cursor"),
        ("cursor=1'--", "cursor"),
        ("cursor=%ef%bc%91", "cursor"),
        ("cursor=eyJpZCI6MX0", "cursor"),
        ("offset=5", "offset"),
    ],
)
def test_invalid_page_is_a_422_that_names_the_parameter(
    client: FlaskClient, john: Headers, name: str, query: str, field: str
) -> None:
    assert problem_of(client.get(f"{LISTS[name]}?{query}", headers=john)) == (422, [field])


@pytest.mark.parametrize(
    ("name", "query"),
    [
        *((name, f"{field}={day}") for name, field in (
            ("tasks", "date"), ("bookings", "date"), ("bookings", "departure"),
            ("flights", "departure"),
        ) for day in (
            "2026-02-30", "1999-12-31", "3000-01-01", "9999-12-31", "0001-01-01", "1893456000",
            "2026-1-1", "2026-01-01T00:00:00Z", "today", "", "2026-01-01%00",
        )),
        ("tasks", "type=x"),
        ("tasks", "type="),
        ("tasks", "origin=LIS"),
        ("bookings", "status=completed"),
        ("bookings", "type=flight_booking"),
        ("bookings", "origin=lis"),
        ("bookings", "destination=LISB"),
        ("flights", "destination=%00%00%00"),
        ("flights", "date=2026-01-01"),
    ],
)  # fmt: skip
def test_invalid_filter_is_a_422_that_names_the_parameter(
    client: FlaskClient, john: Headers, name: str, query: str
) -> None:
    field = query.partition("=")[0]

    assert problem_of(client.get(f"{LISTS[name]}?{query}", headers=john)) == (422, [field])


@pytest.mark.parametrize("name", LISTS)
def test_limit_and_link_are_documented(client: FlaskClient, name: str) -> None:
    described = json_of(client.get("/openapi.json"))["paths"][LISTS[name]]["get"]

    parameters = {each["name"]: each for each in described["parameters"]}
    schema = parameters["limit"]["schema"]
    assert (schema["minimum"], schema["maximum"], schema["default"]) == (1, 100, 50)
    assert "Link" in described["responses"]["200"]["headers"]


class TestFilters:
    @pytest.mark.usefixtures("five")
    @pytest.mark.parametrize(
        ("query", "numbers"),
        [
            ("departure=2099-01-31", ["PY0", "PY2", "PY4"]),
            ("departure=2099-02-01", ["PY1", "PY3"]),
            ("departure=2099-01-30", []),
            ("departure=2099-02-01&origin=LIS", ["PY1", "PY3"]),
            ("departure=2099-02-01&destination=OSL", ["PY1", "PY3"]),
            ("departure=2099-02-01&destination=VIE", []),
            ("origin=LIS&destination=VIE", ["PY0", "PY2", "PY4"]),
            ("origin=OSL", []),
        ],
    )
    def test_flights_and_bookings_by_flight(
        self, client: FlaskClient, john: Headers, jane: Headers, query: str, numbers: list[str]
    ) -> None:
        def shown(url: str, headers: Headers) -> list[str]:
            items = json_of(client.get(f"{url}?{query}", headers=headers))["items"]
            return [item["flightNumber"] for item in items]

        assert shown(FLIGHTS, john) == numbers
        assert shown(BOOKINGS, john) == numbers[::-1]
        assert shown(BOOKINGS, jane) == []

    @pytest.mark.usefixtures("five")
    def test_bookings_by_status(self, client: FlaskClient, john: Headers) -> None:
        everything = ids(client, "bookings", john, "")
        client.post(f"{BOOKINGS}/{everything[1]}/cancel", headers=john)

        assert ids(client, "bookings", john, "status=cancelled") == everything[1:2]
        confirmed = ids(client, "bookings", john, "status=confirmed")
        assert confirmed == [everything[0], *everything[2:]]

    def test_tasks_by_type_status_and_day(
        self, portal: Portal, services: Services, john: Headers, jane: Headers, flight: Json
    ) -> None:
        booked = portal.run(john, booking(flight))["taskId"]
        exports = [portal.create(john)["taskId"] for _ in range(3)]
        portal.create(jane)
        days = {booked: "2026-01-30T12:00:00", exports[0]: "2026-01-30T23:59:59.999999"}
        days |= {exports[1]: "2026-01-31T00:00:00"}
        with services.database.engine.begin() as connection:
            for task_id, moment in days.items():
                created_at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
                row = update(Task).where(Task.id == task_id)
                connection.execute(row.values(created_at=created_at))

        def found(query: str) -> list[int]:
            return ids(portal.client, "tasks", john, query)

        assert found("type=flight_booking") == [booked]
        assert found("type=data_export") == exports[::-1]
        assert found("type=booking_cancellation") == []
        assert found("type=data_export&status=completed") == []
        assert found("type=data_export&status=pending&limit=1") == exports[2:]
        assert found("date=2026-01-30") == [exports[0], booked]
        assert found("date=2026-01-30&type=flight_booking&status=completed") == [booked]
        assert found(f"date=2026-01-30&cursor={exports[0]}") == [booked]
        assert found("date=2026-01-31&status=pending") == [exports[1]]
        assert found("date=2026-01-29") == []
        assert found(f"date={datetime.now(UTC):%Y-%m-%d}") == [exports[2]]

    def test_first_page_of_another_length_is_current(self, portal: Portal, john: Headers) -> None:
        for count in range(1, 4):
            task = portal.create(john, EXPORT)
            assert portal.list(john, "limit=1") == [task]
            assert len(portal.list(john, "limit=50")) == count
            assert len(portal.list(john)) == count


def test_no_list_is_stale_while_others_read_and_write(portal: Portal, john: Headers) -> None:
    def act(_: int) -> None:
        own = replace(portal, client=portal.client.application.test_client(use_cookies=False))
        for _ in range(8):
            task = own.create(john)
            for query in ("", "limit=100", "status=pending"):
                assert task in own.list(john, query)
            cancelled = json_of(own.post(john, task, "cancel"))["task"]
            for query in ("", "limit=100", "status=cancelled"):
                assert cancelled in own.list(john, query)
            assert task not in own.list(john, "status=pending")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(act, range(4)))
