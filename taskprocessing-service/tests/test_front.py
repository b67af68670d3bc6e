"""The pages of the front: flights, bookings, and what follows their forms."""

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.testing.browsing import Browser, Form
from common.pyportal_common.testing.front_checks import FrontChecks, Reader
from common.pyportal_common.testing.kit import session_headers

from .conftest import EXPORT, Headers, Json, Portal


@pytest.fixture
def browser(client: FlaskClient, john: Headers) -> Browser:
    return browser_of(client, john)


def browser_of(client: FlaskClient, headers: Headers) -> Browser:
    session_id = headers["Authorization"].removeprefix("Bearer ")
    return Browser.of(client, session_id=session_id)


def flight_page(flight: Json) -> str:
    return f"/app/flights/{flight['flightId']}"


@pytest.mark.usefixtures("flight")
def test_a_flight_is_found_booked_followed_and_cancelled(browser: Browser, portal: Portal) -> None:
    browser.open("/app/flights")
    assert "100 seats left" in browser.page.text
    browser.click("LIS to OSL")
    browser.press("Book", seats="2")
    assert "Your booking is in the queue" in browser.page.text

    portal.run_tasks()
    browser.open(browser.page.url)

    assert "Your seats are booked" in browser.page.text
    browser.click("My bookings")
    assert "LIS to OSL PY101" in browser.page.text
    browser.click("LIS to OSL")
    browser.click("Cancel the booking")
    assert browser.page.heading == "Cancel this booking?"
    browser.press("Cancel the booking")
    assert "The booking is cancelled" in browser.page.text
    assert "100 seats left" in browser.open("/app/flights").text


@pytest.fixture
def jane_browser(client: FlaskClient, jane: Headers) -> Browser:
    return browser_of(client, jane)


def book(browser: Browser, flight: Json, seats: str = "2") -> str:
    """Book seats. Returns the address of the booking."""
    browser.open(flight_page(flight))
    return browser.press("Book", seats=seats).url


def test_what_is_wrong_is_said_at_the_field_with_what_was_sent(
    browser: Browser, flight: Json
) -> None:
    browser.open(flight_page(flight))

    page = browser.press("Book", seats="101", status=422)

    assert "Please correct the form. Seats Must be at most 100" in page.text
    assert page.form("Book").fields["seats"] == ["101"]
    assert 'aria-invalid="true" autofocus aria-describedby="fault-seats' in page.reply.text
    browser.press("Book", seats="x", status=422)
    assert "Must be a whole number" in browser.page.text
    browser.press("Book", seats="", status=422)
    assert "Required" in browser.page.text


def test_a_form_that_is_sent_twice_books_once(
    browser: Browser, portal: Portal, john: Headers, flight: Json
) -> None:
    form = browser.open(flight_page(flight))
    first = browser.press("Book", seats="2").url

    browser.page = form
    assert browser.press("Book", seats="2").url == first

    browser.page = form
    changed = browser.press("Book", seats="3", status=422)
    assert "Book" in changed.forms[-1].buttons
    portal.run_tasks()
    assert portal.seats_left(john, flight) == 98


def test_bookings_of_others_do_not_exist(
    browser: Browser, jane_browser: Browser, portal: Portal, john: Headers, flight: Json
) -> None:
    booking = book(browser, flight)
    portal.run_tasks()
    confirm = browser.open(f"{booking}/cancel")

    for path in (booking, f"{booking}/cancel"):
        assert "There is nothing at this address" in jane_browser.open(path, status=404).text
    jane_browser.page = confirm
    jane_browser.press("Cancel the booking", status=404)
    for act in ("stop", "retry"):
        form = Form(f"{booking}/{act}", "post", buttons=[act])
        jane_browser.page.forms.append(form)
        jane_browser.press(act, status=404)
    assert "LIS" not in jane_browser.open("/app/bookings").text
    assert portal.seats_left(john, flight) == 98


def test_a_booking_that_waits_is_stopped_and_tried_again(
    browser: Browser, portal: Portal, john: Headers, flight: Json
) -> None:
    booking = book(browser, flight)
    assert "Being booked" in browser.open("/app/bookings").text
    browser.open(booking)
    browser.press("Stop")
    assert "It was stopped before any seat was booked" in browser.page.text
    assert "Not booked" in browser.open("/app/bookings").text

    browser.open(booking)
    browser.press("Try again")
    portal.run_tasks()

    assert "Your seats are booked" in browser.open(booking).text
    assert portal.seats_left(john, flight) == 98


def test_a_booking_that_failed_says_why(browser: Browser, portal: Portal, flight: Json) -> None:
    first, second = book(browser, flight, "60"), book(browser, flight, "60")
    portal.run_tasks()

    assert "Your seats are booked" in browser.open(first).text
    assert "has 40 seats left, not 60" in browser.open(second).text


def test_a_waiting_booking_is_read_again_and_one_that_ended_is_not(
    browser: Browser, portal: Portal, flight: Json
) -> None:
    booking = book(browser, flight)
    waiting = browser.page.reply.text
    portal.run_tasks()
    ended = browser.open(booking).reply.text

    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in waiting
    assert f'hx-get="{booking}"' in waiting
    assert "http-equiv" not in ended
    assert "hx-get" not in ended


def test_a_poll_is_answered_when_the_state_changes(
    client: FlaskClient, browser: Browser, portal: Portal, john: Headers, flight: Json
) -> None:
    booking = book(browser, flight)
    portal.run_tasks()

    response = client.get(booking, headers=john | {"HX-Request": "true", "Prefer": "wait=20"})

    assert "Your seats are booked" in response.text
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize(
    ("query", "found"),
    [("origin=lis", True), ("destination=OSL&departure=2099-01-31", True), ("origin=VIE", False)],
)
@pytest.mark.usefixtures("flight")
def test_flights_are_searched(browser: Browser, query: str, found: bool) -> None:
    text = browser.open(f"/app/flights?{query}").text

    assert ("LIS to OSL" in text) == found
    assert ("No flight matches." in text) != found


@pytest.mark.usefixtures("flight")
def test_a_search_that_is_wrong_says_what_is_wrong(browser: Browser) -> None:
    page = browser.open('/app/flights?origin="><script>&departure=tomorrow', status=422)

    assert "Must be three capital letters" in page.text
    assert "Must be a date" in page.text
    assert "<script>" not in page.reply.text
    assert page.form("Search").fields["origin"] == ['"><SCRIPT>']


def test_what_is_wrong_in_a_link_is_named(browser: Browser) -> None:
    assert "cursor: " in browser.open("/app/bookings?cursor=x", status=422).text
    assert "status: " in browser.open("/app/bookings?status=x", status=422).text


def test_a_hostile_name_is_text(client: FlaskClient, john: Headers) -> None:  # noqa: ARG001
    name = '<img src=x onerror="alert(1)">'
    headers = session_headers(9, username=name)

    page = client.get("/app/flights", headers=headers)

    assert "<img" not in page.text
    assert "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;" in page.text


def test_other_tasks_have_pages_too(browser: Browser, portal: Portal, john: Headers) -> None:
    export = portal.run(john, EXPORT)

    page = browser.open(f"/app/bookings/{export['taskId']}")

    assert "completed" in page.text
    assert page.links["Download"] == f"/api/v1/airliner/tasks/{export['taskId']}/file"


class TestFront(FrontChecks):
    """What holds for the pages of all services."""

    @pytest.fixture
    def reader(self, browser: Browser, john: Headers, flight: Json, portal: Portal) -> Reader:
        booking_id = book(browser, flight).rpartition("/")[2]
        portal.run_tasks()
        return john, {"flight_id": flight["flightId"], "booking_id": booking_id}
