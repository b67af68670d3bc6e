"""The consoles of `make run` in a real browser: on all pages, in both themes, on a phone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, ViewportSize, expect

from ..portal_api import PASSWORD, wait_until
from .browser import open_browser, screenshot
from .conftest import UNLIMITED, Portal, running_portal

pytestmark = pytest.mark.slow

PHONE: ViewportSize = {"width": 380, "height": 720}


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal with an admin, users, and tasks of which some have failed."""
    variables = {**UNLIMITED, "RATE_LIMIT_ADMIN": "100000/60", "ADMIN_PASSWORD": PASSWORD}
    for portal in running_portal(tmp_path_factory.mktemp("portal"), **variables):
        assert portal.make("seed").returncode == 0
        with closing(sqlite3.connect(portal.data_dir / "taskprocessing.sqlite3")) as tasks, tasks:
            tasks.execute("update tasks set status = 'failed', error = 'It rains' where id < 4")
        yield portal


def console(portal: Portal, service: str = "taskprocessing") -> str:
    return f"http://localhost:{portal.ports[service]}/console"


@pytest.fixture
def page(portal: Portal) -> Iterator[Page]:
    origins = [f"http://localhost:{port}" for port in portal.ports.values()]
    with open_browser(
        *origins,
        width=1280,
        height=800,
        is_expected=lambda error: "status of 404" in error,
    ) as page:
        yield page


@pytest.fixture
def admin(portal: Portal, page: Page) -> Page:
    """The overview of Task Processing, after logging in at User Management."""
    page.goto(console(portal))
    assert page.url.startswith(console(portal, "usermanagement") + "/login?next=")
    page.get_by_label("E-mail address").fill("admin@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert page.url == console(portal)
    return page


def pages(page: Page) -> list[str]:
    """The addresses of all pages in the navigation."""
    links = page.get_by_role("navigation", name="Pages").get_by_role("link").all()
    return [str(link.get_attribute("href")) for link in links]


def expect_no_wider_than_the_window(page: Page) -> None:
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth", timeout=5000)


def is_within(element: Locator, width: int) -> bool:
    box = element.bounding_box()
    return box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width


def serious_findings(page: Page) -> list[str]:
    """What axe-core finds to be serious, with the elements."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {[node['html'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]


def test_one_login_opens_the_consoles_of_all_services(portal: Portal, admin: Page) -> None:
    for service in portal.ports:
        admin.goto(console(portal, service))
        expect(admin.get_by_role("heading", name="Overview")).to_be_visible()
        expect(admin.get_by_text("admin", exact=True)).to_be_visible()

    admin.get_by_role("link", name="User Management").click()
    expect(admin).to_have_url(console(portal, "usermanagement"))
    admin.get_by_role("button", name="Log out").click()

    expect(admin.get_by_role("heading", name="Log in")).to_be_visible()
    admin.goto(console(portal))
    assert "/console/login" in admin.url


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_fits(portal: Portal, admin: Page, theme: str) -> None:
    admin.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    for service in portal.ports:
        admin.goto(console(portal, service))
        for path in [*pages(admin), "/console/nothing", "/console/login"]:
            admin.goto(f"http://localhost:{portal.ports[service]}{path}")
            name = path.removeprefix("/console").replace("/", "-")
            assert serious_findings(admin) == [], (service, path)
            screenshot(admin, f"console-{service}{name}-{theme}")
            admin.set_viewport_size(PHONE)
            expect_no_wider_than_the_window(admin)
            for each in admin.locator("header a:not(.skip), header button, td.acts button").all():
                assert is_within(each, PHONE["width"]), (service, path, each.inner_text())
            screenshot(admin, f"console-{service}{name}-{theme}-phone")
            admin.set_viewport_size({"width": 1280, "height": 800})


def test_failed_tasks_are_filtered_selected_and_retried(portal: Portal, admin: Page) -> None:
    admin.get_by_role("link", name="Jobs").click()
    admin.get_by_role("link", name="tasks").click()
    admin.get_by_label("State").select_option("failed")  # filters at once
    wanted = f"{console(portal)}/jobs/tasks?status=failed&user_id="
    expect(admin).to_have_url(f"{wanted}&since=&until=&error=")
    admin.get_by_label("From").fill("2h")
    admin.get_by_label("Text in the error").fill("RAINS")
    admin.get_by_label("Text in the error").press("Tab")
    expect(admin).to_have_url(f"{wanted}&since=2h&until=&error=RAINS")
    rows = admin.get_by_role("checkbox", name="Select job")
    before = rows.count()
    assert before == 3
    admin.get_by_role("checkbox", name="Select all").check()
    assert serious_findings(admin) == []

    admin.get_by_role("button", name="Retry selected").click()
    expect(admin.get_by_role("heading", name=f"Retry {before} tasks?")).to_be_visible()
    assert serious_findings(admin) == []
    screenshot(admin, "console-confirm")
    admin.get_by_role("button", name=f"Retry {before} tasks").click()

    expect(admin.get_by_role("status")).to_have_text(f"Retried {before} tasks")
    acts = portal.sql("taskprocessing", "select action, target, count from audit order by id")
    assert acts[-1] == ("jobs retry", "tasks", before)


def test_the_overview_draws_while_it_is_looked_at(portal: Portal, admin: Page) -> None:
    requests = admin.locator("[data-chart=requests] output")
    expect(admin.locator("canvas")).to_have_count(4)

    def is_drawn() -> bool:
        portal.request("GET", "/livez", service="taskprocessing")
        return requests.inner_text() not in {"", "0", "\N{EN DASH}"}

    wait_until(is_drawn, seconds=20)
    assert serious_findings(admin) == []


def test_the_axes_of_the_charts_show_the_time_from_the_first_reading_on(admin: Page) -> None:
    admin.route("**/admin/overview", lambda route: route.fulfill(json={"totals": None}))
    admin.add_init_script(
        "const draw = CanvasRenderingContext2D.prototype.fillText; window.drawn = [];"
        "CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {"
        " window.drawn.push(String(text)); draw.call(this, text, ...more); };"
    )
    admin.reload()
    admin.wait_for_function("window.drawn.some((text) => text.includes(':'))")

    assert "00:00:00" not in admin.evaluate("window.drawn")


def test_without_javascript_everything_but_the_charts_works(portal: Portal, page: Page) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{console(portal)}/schedules")
    plain.get_by_label("E-mail address").fill("admin")
    plain.get_by_label("Password").fill(PASSWORD)
    plain.get_by_role("button", name="Log in", exact=True).click()

    plain.get_by_role("button", name="Pause").first.click()
    plain.get_by_label("Reason").fill("It is Sunday")
    plain.get_by_role("button", name="Pause").click()
    expect(plain.get_by_role("status")).to_contain_text("is paused")
    plain.get_by_role("button", name="Resume").click()
    plain.get_by_role("button", name="Resume").click()
    expect(plain.get_by_role("status")).to_contain_text("is resumed")
    plain.get_by_role("link", name="Jobs").click()
    plain.get_by_role("link", name="tasks").click()
    plain.get_by_label("State").select_option("failed")
    plain.get_by_role("button", name="Filter").click()
    assert "status=failed" in plain.url
    context.close()
